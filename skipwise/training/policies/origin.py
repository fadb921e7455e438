"""Where an explosion began: the batch is computed once more, and every layer looked at."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor, nn

from skipwise.data import Batch
from skipwise.randomness import examples, seeded
from skipwise.training.run import Run, statistics_of

STANDS_OUT = 2.0  # times as large as before; less is what batches differ by
NAMED = 3  # examples
NOWHERE = "the network"


def origin(run: Run, batch: Batch, earlier: Mapping[str, Tensor], when: str) -> str:
    """Say where the trouble of a batch began.

    In this order: in the input, if it is not finite; in the first module whose output is not; in
    the last whose gradient is not, for the backward pass begins at the end; else in the layer whose
    output, beside its input, is largest compared with earlier weights, or, where none stands out,
    in the weight whose gradient is. The gradient that is compared is that of the outputs' norm: it
    passes the same layers and leaves the count of right answers alone. Weights, buffers, gradients
    and random numbers stay. Of several processes, which all call it, each looks at its share, and
    what one of them found that comes first in this order is what all say.

    Args:
        run: The run, after the step was counted.
        batch: The step's batch, or this process's share of it.
        earlier: Weights and buffers of an earlier state.
        when: What these are called.
    """
    return run.world.surest(*_origin(run, batch, earlier, when))


def _origin(run: Run, batch: Batch, earlier: Mapping[str, Tensor], when: str) -> tuple[int, str]:
    """Say where it began in this process's share, and how sure that is."""
    finite = batch.inputs.flatten(1).isfinite().all(1)
    broken_input = not finite.all()
    if run.world.largest(broken_input) == (1,):  # all or none go on: norms may wait for each other
        if not broken_input:
            return 0, ""
        rows = batch.index[~finite.to(batch.index.device)].tolist()
        named = ", ".join(map(str, rows[:NAMED])) + (" and others" if len(rows) > NAMED else "")
        one = f"example {named}" if len(rows) == 1 else f"examples {named}"
        return 3, f"the input: {one} of the training part is not finite"
    now = run.model.state_dict()
    with run.with_weights(now):
        found = _looked_at(run, batch)
    broken = next((name for name, size in found.sizes.items() if not size.isfinite()), None)
    if run.world.largest(broken is not None) == (1,):
        return (0, "") if broken is None else (2, f"{broken}, the first whose output is not finite")
    last = [
        name.rpartition(".")[0] or name
        for name, p in run.model.named_parameters()
        if p.grad is not None and not p.grad.isfinite().all()
    ]
    if last:
        return 1, f"{last[-1]}, the last whose gradient is not finite"
    with run.with_weights(earlier):
        before = _looked_at(run, batch, slopes=True)
    with run.with_weights(now):
        after = _looked_at(run, batch, slopes=True)
    grown = _most_grown(before.gains, after.gains, "output, beside its input,", when)
    grown = grown or _most_grown(before.slopes, after.slopes, "gradient", when)
    if grown:
        return 1, grown
    return 0, f"no one layer: with the weights {when} all outputs on this batch are as large"


def loss_with(run: Run, batch: Batch, weights: Mapping[str, Tensor]) -> float:
    """Give the mean loss of a step's batch with other weights and buffers; nothing stays of it.

    Args:
        run: The run, after the step was counted.
        batch: The step's batch, or this process's share of it.
        weights: Those of another state.
    """
    criterion = unwrap(run.loss)
    sums = torch.zeros(2, dtype=torch.float64, device=batch.inputs.device)
    with run.with_weights(weights), torch.no_grad():
        for part in batch.parts(run.parts):
            loss, count = criterion(_forward(run, part), part)
            sums += torch.stack([loss.double(), torch.as_tensor(count).to(sums)])
    total, count = run.world.sum(sums).tolist()
    return total / count


def first_broken(model: nn.Module) -> str:
    """Name the first module with a weight, or else a running statistic, that is not finite."""
    named = (*model.named_parameters(), *statistics_of(model).items())
    broken = (name for name, tensor in named if not tensor.isfinite().all())
    return next(broken, "").rpartition(".")[0] or NOWHERE


def _most_grown(
    before: Mapping[str, Tensor], after: Mapping[str, Tensor], what: str, when: str
) -> str:
    ratios = {
        name: (size / before[name]).item()
        for name, size in after.items()
        if name in before and before[name] > 0
    }
    name = max(ratios, key=lambda n: ratios[n], default="")
    if not name or not ratios[name] > STANDS_OUT:
        return ""
    return f"{name}, whose {what} is {ratios[name]:.3g} times that {when}"


@dataclass(kw_only=True)
class Looks:
    """What was seen of the layers, by their names, in the order in which they are done.

    Args:
        sizes: Root mean square of every module's output.
        gains: That of a layer's output over that of its input.
        slopes: Norm of the gradient of each weight with two axes or more.
    """

    sizes: dict[str, Tensor] = field(default_factory=dict)
    gains: dict[str, Tensor] = field(default_factory=dict)
    slopes: dict[str, Tensor] = field(default_factory=dict)


def _looked_at(run: Run, batch: Batch, *, slopes: bool = False) -> Looks:
    """Compute the batch; with ``slopes`` the first part of it, and the gradient too."""
    looks = Looks()
    first, *others = batch.parts(run.parts)
    with ExitStack() as hooks:
        for name, module in run.model.named_modules():
            hooks.enter_context(_hooked(name or "the network", module, looks))
        with torch.set_grad_enabled(slopes):
            output = _forward(run, first)
            for part in () if slopes else others:
                _forward(run, part)
    if slopes:
        named = {n: p for n, p in run.model.named_parameters() if p.requires_grad and p.dim() > 1}
        found = torch.autograd.grad(output.float().norm(), list(named.values()), allow_unused=True)
        looks.slopes = {
            name.removesuffix(".weight"): slope.norm()
            for name, slope in zip(named, found, strict=True)
            if slope is not None
        }
    return looks


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
def _hooked(name: str, module: nn.Module, looks: Looks) -> Iterator[None]:
    def measure(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not isinstance(output, Tensor) or not output.is_floating_point():
            return
        size, sizes = _size(output), looks.sizes
        # A part of the batch that is not finite must not be hidden by one that is.
        sizes[name] = torch.maximum(sizes[name], size) if name in sizes else size
        is_layer = next(module.children(), None) is None
        if is_layer and args and isinstance(args[0], Tensor):
            looks.gains[name] = size / _size(args[0])

    handle: Callable[[], None] = module.register_forward_hook(measure).remove
    try:
        yield
    finally:
        handle()


def _size(tensor: Tensor) -> Tensor:
    return tensor.detach().double().square().mean().sqrt()
