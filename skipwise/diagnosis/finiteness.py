"""Where numbers stop being finite: in the data, a weight, what a module gives, or a gradient.

Every other measurement refuses a model whose weights or loss are not finite, because nothing that
it would say means anything. This one is for such models: one forward and one backward pass, in
which every module is asked whether what it has just given is finite.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn

from skipwise.analysis import Measurement, pose, untouched
from skipwise.analysis.problem import Loss, Problem
from skipwise.analysis.sites import CONTAINERS

STATISTICS = "running_"  # other buffers may hold infinities on purpose, as causal masks do
COLUMNS = ("NaN in output", "infinite in output", "bad in weights", "bad in gradient")


def finiteness(model: nn.Module, batch: Any, loss: Loss | None = None) -> Measurement:
    """Measure, module by module, which share of the numbers is NaN or infinite.

    A row is one call of a module, in the order in which the calls end: so a block stands behind its
    parts, and is the first bad one if the sum in it overflows. ``bad in weights`` counts its own
    parameters and its running statistics, ``bad in gradient`` the gradient of these parameters; the
    gradient is NaN where there is none, and everywhere if the loss itself is not finite. Modules
    that are never called stand last.

    Figures: the shares in inputs and targets, the loss, and whether it is finite (1) or not (0).

    Args:
        model: Any module, in the mode in which it is to be measured; stays as it is.
        batch: (inputs, targets).
        loss: ``(output, targets) → one number``; the cross-entropy if None.

    Raises:
        TypeError: If the model is no module, or the batch no pair.
        ValueError: If the loss is not one number, or see :func:`skipwise.analysis.pose`; never
            because a number is not finite.
    """
    problem = pose(model, batch, loss, finite=False)
    with untouched(problem.model), torch.autograd.set_detect_anomaly(False):
        # Before the pass, in which a NaN would run on into the statistics of all norms behind it.
        held = {name: _share(_held(module)) for name, module in _named(problem.model)}
        calls = _Calls(model=problem.model)
        with _watched(calls):
            value, error = _loss_of(problem, calls)
        gradients = _gradients(problem.model, value)
        rows = list(_rows(calls, held, gradients))
    finite = value is not None and bool(torch.isfinite(value.detach()))
    return Measurement(
        name="Finiteness",
        formula="share of numbers that are NaN or infinite",
        source="own",
        of="call",
        rows=tuple(name for name, _ in rows),
        columns={name: tuple(row[n] for _, row in rows) for n, name in enumerate(COLUMNS)},
        figures={
            "bad in inputs": _share(problem.inputs),
            "bad in targets": _share(problem.targets),
            "loss": math.nan if value is None else float(value.detach()),
            "loss is finite": float(finite),
        },
        notes=tuple([error] if error else []),
    )


@final
@dataclass(kw_only=True)
class _Calls:
    """What every call gave, as counts on the model's device; they are fetched at the end."""

    model: nn.Module
    found: list[tuple[str, list[tuple[Tensor, Tensor, int]]]] = field(default_factory=list)

    def note(self, name: str, output: Any) -> None:
        """Count what is not finite in one output, before a later call can overwrite it."""
        self.found.append((name, [_counts(tensor) for tensor in _tensors(output)]))

    @property
    def bad(self) -> bool:
        """Whether some output so far is not finite."""
        return any(int(nan) + int(endless) for _, all_ in self.found for nan, endless, _ in all_)


@contextmanager
def _watched(calls: _Calls) -> Iterator[None]:
    """Note what every module gives; ``untouched`` takes the hooks away."""

    def noting(name: str) -> Any:
        return lambda module, args, output: calls.note(name, output)

    for name, module in _named(calls.model):
        if not isinstance(module, CONTAINERS):  # a container gives what its last part gave
            module.register_forward_hook(noting(name))
    yield


def _loss_of(problem: Problem, calls: _Calls) -> tuple[Tensor | None, str]:
    """Compute the loss; code that refuses a NaN ends the pass, and where it ended is the answer.

    Raises:
        ArithmeticError: If the pass fails though all numbers were finite so far; as the next two.
        RuntimeError: See above.
        ValueError: See above.
    """
    try:
        return problem.number(), ""
    except (ArithmeticError, RuntimeError, ValueError) as error:
        if not calls.bad:
            raise
        last = calls.found[-1][0]
        return None, f"the pass ended behind {last}, which had numbers that are not finite: {error}"


def _gradients(model: nn.Module, loss: Tensor | None) -> dict[nn.Parameter, Tensor]:
    """Give the gradient of every parameter that has one; none if the loss is not finite."""
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if loss is None or not wanted or not loss.requires_grad or not bool(torch.isfinite(loss)):
        return {}
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    return {p: g for p, g in zip(wanted, found, strict=True) if g is not None}


def _rows(
    calls: _Calls, held: Mapping[str, float], gradients: Mapping[nn.Parameter, Tensor]
) -> Iterator[tuple[str, tuple[float, ...]]]:
    modules = dict(_named(calls.model))
    number: dict[str, int] = {}
    for name, counts in calls.found:
        number[name] = number.get(name, 0) + 1
        size = sum(numel for *_, numel in counts) or 1
        outputs = (
            sum(int(nan) for nan, _, _ in counts) / size,
            sum(int(endless) for _, endless, _ in counts) / size,
        )
        if number[name] == 1:
            yield name, (*outputs, held[name], _of_gradient(modules[name], gradients))
        else:
            yield f"{name} ({number[name]})", (*outputs, 0.0, math.nan)
    for name, module in modules.items():
        if name not in number and any(True for _ in _held(module)):
            yield name, (math.nan, math.nan, held[name], _of_gradient(module, gradients))


def _named(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name or "the model", module) for name, module in model.named_modules()]


def _held(module: nn.Module) -> list[Tensor]:
    """Give a module's own parameters and running statistics."""
    statistics = [b for n, b in module.named_buffers(recurse=False) if n.startswith(STATISTICS)]
    return [*module.parameters(recurse=False), *statistics]


def _of_gradient(module: nn.Module, gradients: Mapping[nn.Parameter, Tensor]) -> float:
    """Give the bad share in the gradient of a module's own parameters, NaN where there is none."""
    theirs = [gradients[p] for p in module.parameters(recurse=False) if p in gradients]
    return _share(theirs) if theirs else math.nan


def _share(values: Any) -> float:
    counts = [_counts(tensor) for tensor in _tensors(values)]
    bad = sum(int(nan) + int(endless) for nan, endless, _ in counts)
    return bad / max(sum(numel for *_, numel in counts), 1)


def _counts(tensor: Tensor) -> tuple[Tensor, Tensor, int]:
    values = tensor.detach()
    if values.is_sparse:
        values = values.coalesce().values()
    return values.isnan().sum(), values.isinf().sum(), values.numel()


def _tensors(value: Any) -> Iterator[Tensor]:
    """Give the tensors of numbers with fractions in what a module takes or gives."""
    if isinstance(value, Tensor):
        if value.is_floating_point() or value.is_complex():
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _tensors(inner)
