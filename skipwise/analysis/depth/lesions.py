"""Lesions: what the loss becomes without a block, with two blocks exchanged, in another order.

If a residual network is a collection of paths, taking one block's branch away leaves half of them
and harms little; a plain network has a single path. The model computes as always, only that at the
block's sum nothing is written, or that two blocks trade their places.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, final

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from skipwise.analysis.depth.boundaries import row_names
from skipwise.analysis.depth.structure import structure_of
from skipwise.analysis.forward import is_addition, opened, watched_pass
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.problem import Loss, Problem, pose
from skipwise.analysis.sites import Sites, as_sites
from skipwise.analysis.untouched import untouched

COLUMNS = ("change of loss", "low", "high")


def lesions(
    model: nn.Module, batch: Any, loss: Loss | None = None, *, sites: Sites | str | None = None
) -> Measurement:
    """Remove the branch of every block in turn, and exchange every block with the next of its kind.

    ``ΔL = L(without) − L``, with the 95 % interval of its mean over the examples of the batch
    (paired, Student). The interval is NaN where the loss is no mean over examples. In evaluation
    mode BatchNorm keeps its statistics, in training mode those of the batch are taken anew.

    Args:
        model: Any module, in the mode in which it is to be measured.
        batch: (inputs, targets).
        loss: ``(output, targets) → one number``; the cross-entropy if None.
        sites: The blocks, or a pattern of their names; found if None.

    Returns:
        One row for each block; NaN where it has no skip, or no neighbour of the same shape.

    Source: Veit et al. (2016), sections 4.1 and 4.3.
    """
    problem = pose(model, batch, loss)
    sites = as_sites(problem.model, sites)
    with untouched(problem.model):
        seen = watched_pass(problem, sites)
        names = row_names(seen.visits)
        sums = [_written(visit) for visit in seen.visits]
        shapes = [(v.start.shape, v.end.shape) if v.keeps_shape else None for v in seen.visits]
        modules = [visit.module for visit in seen.visits]
        del seen  # and with it the graph
        whole = _losses(problem)
        removed = [_without(problem, whole, *pair) for pair in zip(modules, sums, strict=True)]
        swapped = [_exchanged(problem, whole, modules, shapes, n) for n in range(len(modules))]
    columns = {name: tuple(row[n] for row in removed) for n, name in enumerate(COLUMNS)}
    return Measurement(
        name="Lesions",
        formula="ΔL = L(without the branch) − L",
        source="Veit et al. (2016), sections 4.1 and 4.3",
        rows=names,
        columns={**columns, "change by swap with the next": tuple(swapped)},
        figures={"loss": float(whole.mean())},
        notes=(_mode(problem.model),),
    )


def _without(
    problem: Problem, whole: np.ndarray, module: nn.Module, sums: dict[int, bool] | None
) -> tuple[float, float, float]:
    """Give the change of loss without one block's branch, and its interval."""
    if sums is None:
        return math.nan, math.nan, math.nan
    with _silenced(module, sums):
        return _change(whole, _losses(problem))


def _exchanged(
    problem: Problem, whole: np.ndarray, modules: list[nn.Module], shapes: list[Any], number: int
) -> float:
    """Give the change of loss when a block and the next trade their places."""
    last = number + 1 == len(modules)
    if last or shapes[number] is None or shapes[number] != shapes[number + 1]:
        return math.nan
    first, second = modules[number], modules[number + 1]
    with _in_places({first: second, second: first}):
        return _change(whole, _losses(problem))[0]


def lesion(
    model: nn.Module,
    batch: Any,
    loss: Loss | None = None,
    *,
    without: Collection[str] = (),
    order: Mapping[str, str] | None = None,
    sites: Sites | str | None = None,
) -> float:
    """Give the change of the loss when several branches are removed, or blocks stand elsewhere.

    Args:
        model: Any module.
        batch: (inputs, targets).
        loss: ``(output, targets) → one number``; the cross-entropy if None.
        without: Names of the blocks whose branch writes nothing.
        order: Which block computes in the place of which; a permutation of names.
        sites: The blocks, or a pattern of their names.

    Raises:
        ValueError: If a name is no block's, a block has no skip, or the order no permutation.
    """
    problem, order = pose(model, batch, loss), order or {}
    sites = as_sites(problem.model, sites)
    strange = {*without, *order, *order.values()} - set(sites.names)
    if strange:
        raise ValueError(f"{min(strange)} is none of the blocks {', '.join(sites.names)}")
    if set(order) != set(order.values()):
        raise ValueError("order must give every place one block: a permutation of names")
    with untouched(problem.model), ExitStack() as stack:
        seen = watched_pass(problem, sites)
        sums = {visit.module: _written(visit) for visit in seen.visits}
        del seen
        whole = _losses(problem)
        for name in without:
            module = problem.model.get_submodule(name)
            if sums.get(module) is None:
                raise ValueError(f"{name} has no skip that could do without its branch")
            stack.enter_context(_silenced(module, sums[module]))
        places = {problem.model.get_submodule(a): b for a, b in order.items()}
        stack.enter_context(
            _in_places({place: problem.model.get_submodule(b) for place, b in places.items()})
        )
        return _change(whole, _losses(problem))[0]


def _written(visit: Any) -> dict[int, bool] | None:
    """Say at which sums of a block something is written, and whether it is the left summand."""
    structure = structure_of(visit)
    if not structure.joins:
        return None
    found = {}
    for join in structure.joins:
        for number, made in enumerate(visit.sums):
            if made.result.key == join.result.key:
                found[number] = made.left is join.written if join.written else made.left is None
    return found


@final
class _Silence(TorchFunctionMode):
    """Writes zeros at the given sums, counted in the order in which they are computed."""

    def __init__(self, sums: Mapping[int, bool]):
        super().__init__()
        self.sums, self.count = sums, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not is_addition(func, args, kwargs) or not any(a.requires_grad for a in args):
            return func(*args, **(kwargs or {}))
        number, self.count = self.count, self.count + 1
        if number not in self.sums:
            return func(*args)
        left, right = args
        if not self.sums[number]:
            return func(left, torch.zeros_like(right))
        if func in (Tensor.add_, Tensor.__iadd__):  # the sum must stand where the branch stood
            return func(left.detach().zero_(), right)
        return func(torch.zeros_like(left), right)


@contextmanager
def _silenced(module: nn.Module, sums: Mapping[int, bool] | None) -> Iterator[None]:
    """Let a block write nothing; all of its calls."""
    if sums is None:
        yield
        return
    usual = module.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        with _Silence(sums):
            return usual(*args, **kwargs)

    with _forward_of(module, forward):
        yield


@contextmanager
def _in_places(places: Mapping[nn.Module, nn.Module]) -> Iterator[None]:
    """Let one block compute in the place of another."""
    forwards = {place: block.forward for place, block in places.items()}
    with ExitStack() as stack:
        for place, forward in forwards.items():
            stack.enter_context(_forward_of(place, forward))
        yield


@contextmanager
def _forward_of(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Put another ``forward`` before the module's own, and take it away at the end."""
    fields = vars(module)
    had, before = "forward" in fields, fields.get("forward")
    fields["forward"] = forward
    try:
        yield
    finally:
        if had:
            fields["forward"] = before
        else:
            del fields["forward"]


def _losses(problem: Problem) -> np.ndarray:
    """Give the loss of every example, or the one loss where it is no mean over examples."""
    with untouched(problem.model):
        for parameter in problem.model.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        arguments = problem.arguments()
        output = problem.output({name: opened(value) for name, value in arguments.items()})
    with torch.no_grad():
        whole, targets = float(problem.compared(output, problem.targets)), problem.targets
        both = isinstance(output, Tensor) and isinstance(targets, Tensor)
        if not both or not output.dim() or not targets.dim() or len(output) != len(targets):
            return np.array([whole])
        each = [
            float(problem.compared(output[n : n + 1], targets[n : n + 1]))
            for n in range(len(output))
        ]
    fits = math.isclose(float(np.mean(each)), whole, rel_tol=1e-4, abs_tol=1e-6)
    return np.array(each) if fits else np.array([whole])


def _change(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float]:
    """Give the mean of the differences and its 95 % interval."""
    if len(before) != len(after):
        return float(after.mean() - before.mean()), math.nan, math.nan
    differences = after - before
    mean = float(differences.mean())
    if len(differences) < 2:
        return mean, math.nan, math.nan
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    half = float(stdtrit(len(differences) - 1, 0.975)) * error
    return mean, mean - half, mean + half


def _mode(model: nn.Module) -> str:
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return "no BatchNorm: the mode does not matter to statistics"
    if any(norm.training for norm in norms):
        return "BatchNorm in training mode: its statistics are those of the batch, taken anew"
    return "BatchNorm in evaluation mode: its statistics stay as they are"
