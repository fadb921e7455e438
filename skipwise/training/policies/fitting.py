"""Whether the steps of a run fit into this machine's memory, known before the first is taken.

Where they do not, the system would kill the process without a word.
"""

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from skipwise.randomness import examples, seeded
from skipwise.training.gradient import leaving_no_trace
from skipwise.training.run import Run

MOST = 4  # examples that are looked at


def check_step_fits(run: Run, shape: tuple[int, ...]) -> None:
    """See that a processor has the memory for what a forward pass keeps of a batch.

    It is a lower bound, and what it is held against an upper one: with what is free, what could be
    swapped, and all that this process holds, since the C library keeps what was freed in it.

    Args:
        run: The run, at step 0.
        shape: Of one example, as the network reads it.

    Raises:
        ValueError: If a step certainly needs more than there is.
    """
    free = free_memory()
    if run.batches.device.type != "cpu" or run.is_sharded or free is None:
        return
    most = free + _told("meminfo", "SwapFree") + _told("self/status", "VmRSS")
    part = math.ceil((run.batches.own.stop - run.batches.own.start) / run.parts)
    if part < MOST:  # the look would take more than the step
        return
    need = kept_of_one(run, shape) * part
    if need > most:
        raise ValueError(
            f"a step needs more than {need / 1e9:,.1f} GB of memory, {free / 1e9:.1f} GB are free;"
            " take a smaller network, set a smaller --batch-size, or --set parts=2 or more"
        )


def kept_of_one(run: Run, shape: tuple[int, ...]) -> int:
    """Give the bytes that a forward pass keeps of one example for the backward pass.

    Two small passes tell what grows with the examples; weights, in whatever numbers, do not.
    """
    return (_kept(run, shape, MOST) - _kept(run, shape, MOST // 2)) // (MOST // 2)


def _kept(run: Run, shape: tuple[int, ...], count: int) -> int:
    device, held = run.batches.device.type, {}

    def keep(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor  # alive, so no address comes twice
        return tensor

    with (
        leaving_no_trace(run),
        seeded(run.seed, "trial"),
        examples(torch.zeros(count, dtype=torch.int64)),
        torch.autocast(device, run.autocast, enabled=run.autocast is not None),
        saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        output = run.model(torch.zeros((count, *shape), device=run.batches.device))
        del output
    return sum(tensor.untyped_storage().nbytes() for tensor in held.values())


def free_memory() -> int | None:
    """Give the bytes of memory that are free, None where the system does not tell."""
    return _told("meminfo", "MemAvailable") or None


def _told(file: str, name: str) -> int:
    """Give an amount of memory that the system tells, in bytes; 0 if it does not."""
    try:
        lines = Path(f"/proc/{file}").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    found = next((line for line in lines if line.startswith(f"{name}:")), None)
    return 0 if found is None else 1024 * int(found.split()[1])
