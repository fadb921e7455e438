"""Where an explosion began: the batch is computed once more, and every layer looked at."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from skipwise.data import Batch
from skipwise.randomness import examples, seeded
from skipwise.training.run import Run

STANDS_OUT = 2.0  # times as large as before; less is what batches differ by
NAMED = 3  # examples


def origin(run: Run, batch: Batch, earlier: Mapping[str, Tensor], when: str) -> str:
    """Say where the trouble of a batch began.

    In this order: in the input, if it is not finite; in the first module whose output is not; in
    the last whose gradient is not, for the backward pass begins at the end; else in the layer whose
    output or gradient is largest beside that with earlier weights. The gradient that is compared
    is that of the mean square of the outputs: it passes the same layers, and changes no count of
    right answers. Weights, buffers, gradients and random numbers stay.

    Args:
        run: The run, after the step was counted.
        batch: The step's batch, or this process's share of it.
        earlier: Weights and buffers of an earlier state.
        when: What these are called.
    """
    finite = batch.inputs.flatten(1).isfinite().all(1)
    if not finite.all():
        rows = batch.index[~finite.to(batch.index.device)].tolist()
        named = ", ".join(map(str, rows[:NAMED])) + (" and others" if len(rows) > NAMED else "")
        one = f"example {named}" if len(rows) == 1 else f"examples {named}"
        return f"the input: {one} of the training part is not finite"
    now = run.model.state_dict()
    with run.with_weights(now):
        sizes = _sizes(run, batch)
    broken = next((name for name, size in sizes.items() if not size.isfinite()), None)
    if broken is not None:
        return f"{broken}, the first whose output is not finite"
    last = [
        name.rpartition(".")[0] or name
        for name, p in run.model.named_parameters()
        if p.grad is not None and not p.grad.isfinite().all()
    ]
    if last:
        return f"{last[-1]}, the last whose gradient is not finite"
    with run.with_weights(earlier):
        before = _sizes(run, batch, gradients=True)
    with run.with_weights(now):
        after = _sizes(run, batch, gradients=True)
    return _most_grown(before, after, when)


def first_broken(model: nn.Module) -> str:
    """Name the first module with a weight that is not finite."""
    broken = (name for name, p in model.named_parameters() if not p.isfinite().all())
    return next(broken, "the whole").rpartition(".")[0] or "the network"


def _most_grown(before: Mapping[str, Tensor], after: Mapping[str, Tensor], when: str) -> str:
    ratios = {
        name: (size / before[name]).item()
        for name, size in after.items()
        if name in before and before[name] > 0
    }
    name = max(ratios, key=lambda n: ratios[n], default="")
    if not name or not ratios[name] > STANDS_OUT:
        return f"no one layer: with the weights {when} all outputs on this batch are as large"
    layer, _, what = name.partition(" ")
    return f"{layer}, whose {what or 'output'} is {ratios[name]:.3g} times that {when}"


def _sizes(run: Run, batch: Batch, *, gradients: bool = False) -> dict[str, Tensor]:
    """Give the root mean square of every module's output, in the order in which they are done.

    With ``gradients`` also the norm of those of weights with two axes or more, as "name gradient".
    """
    found: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for name, module in run.model.named_modules():
            hooks.enter_context(_hooked(name or "the network", module, found))
        parts = batch.parts(run.parts)
        for part in parts[:1] if gradients else parts:
            with torch.set_grad_enabled(gradients):
                output = _forward(run, part)
    if gradients:
        named = {n: p for n, p in run.model.named_parameters() if p.requires_grad and p.dim() > 1}
        loss = output.float().square().mean()
        slopes = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        for name, slope in zip(named, slopes, strict=True):
            if slope is not None:
                found[f"{name.removesuffix('.weight')} gradient"] = slope.norm()
    return found


def _forward(run: Run, part: Batch) -> Tensor:
    """Compute outputs as the step did, past what is compiled or spread over processes."""
    assert part.keys is not None
    with (
        seeded(run.seed, "step", run.step - 1, run.world.rank),
        examples(part.keys),
        torch.autocast(part.inputs.device.type, run.autocast, enabled=run.autocast is not None),
    ):
        return run.model.forward(part.inputs)


@contextmanager
def _hooked(name: str, module: nn.Module, found: dict[str, Tensor]) -> Iterator[None]:
    def measure(module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.is_floating_point():
            size = output.detach().double().square().mean().sqrt()
            # A part of the batch that is not finite must not be hidden by one that is.
            found[name] = torch.maximum(found[name], size) if name in found else size

    handle: Callable[[], None] = module.register_forward_hook(measure).remove
    try:
        yield
    finally:
        handle()
