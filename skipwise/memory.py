"""What the steps of an experiment need of this machine's memory, known before it is built."""

import math
from pathlib import Path

import torch
from torch import nn

from skipwise.data import Dataset
from skipwise.description import Call
from skipwise.experiment import Experiment
from skipwise.finetuning import freeze_parts, prepared
from skipwise.networks import Size, build_network, measure_size
from skipwise.training import ALONE, World, autocast_type, choose_device


def free_memory() -> int | None:
    """Give the bytes of memory that are free, None where the system does not tell."""
    return _told("meminfo", "MemAvailable")


def _told(file: str, name: str) -> int | None:
    """Give an amount of memory that the system tells, in bytes."""
    try:
        lines = Path(f"/proc/{file}").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith(f"{name}:")), None)
    return None if found is None else 1024 * int(found.split()[1])


def size_of(
    experiment: Experiment, dataset: Dataset, model: nn.Module | None = None
) -> Size | None:
    """Measure the network of an experiment without a number of it, or a model that was built.

    None is what a network of a user's own may give that does not run on the meta device.
    """
    ends = prepared(dataset, experiment.preprocessing).ends
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            network = build_network(experiment.network, ends) if model is None else model
            if model is None:
                freeze_parts(network, experiment.freeze)
            return measure_size(network, ends.inputs)
    except Exception:
        return None


def check_memory(
    experiment: Experiment, dataset: Dataset, size: Size, *, world: World = ALONE, beside: int = 0
) -> None:
    """See that weights, gradients and what one part of a batch keeps for them fit into memory.

    Args:
        experiment: What is run.
        dataset: Its data, loaded.
        size: Of its network.
        world: The processes that share the batches.
        beside: Bytes that it may have beside those that are free.

    Raises:
        ValueError: If they need more than is free. It is a lower bound, so less may not fit either.
    """
    device, free = choose_device(), free_memory()
    if device.type != "cpu" or free is None:
        return
    one = size.memory_bytes
    if autocast_type(experiment.precision, device) is not None:
        one //= 2
    batch = min(experiment.batch_size, len(dataset.train))
    weights = 8 * size.parameters // (world.size if experiment.shard else 1)
    need = weights + one * math.ceil(batch / (experiment.parts * world.size))
    if need > free + beside:
        raise ValueError(
            f"a step needs about {need / 1e9:,.1f} GB of memory, {free / 1e9:.1f} GB are free;"
            " take a smaller network, set a smaller --batch-size, or --set parts=2 or more"
        )


def check_step_fits(experiment: Experiment, dataset: Dataset, world: World) -> None:
    """Refuse a run that the system would kill at its first step, without a word.

    A network of the user's own is built once only, and a compiled one may keep less for its
    gradient than can be known: both are taken as they are.

    Raises:
        ValueError: If it certainly needs more memory than there is.
    """
    if isinstance(experiment.network, Call) or experiment.compile == "on":
        return
    size = size_of(experiment, dataset)
    if size is not None:
        # The C library keeps what this process has freed, so all that it holds may be free to it.
        beside = (_told("meminfo", "SwapFree") or 0) + (_told("self/status", "VmRSS") or 0)
        check_memory(experiment, dataset, size, world=world, beside=beside)
