"""Blocks read off the graph of a pass, as theory sees them."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from skipwise.analysis.depth.meanfield import MEAN_STEP
from skipwise.analysis.depth.structure import Join, Structure, structure_of
from skipwise.analysis.depth.theory.operations import (
    MATRIX,
    factor_behind,
    operation,
    passed,
    same_stream,
    tap_shares,
)
from skipwise.analysis.depth.theory.stage import Layer, Moments, Step
from skipwise.analysis.forward import Sum, Visit
from skipwise.analysis.graph import Point, pulled_back
from skipwise.randomness import generator

MATRICES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
PRODUCTS = ("Convolution", "Addmm", "Mm", "Bmm", "Linear")
UNIT = 0.5  # E ReLU(z)² of a standard Gaussian, what BatchNorm–ReLU leaves


def steps_of(visits: tuple[Visit, ...]) -> list[Step]:
    """Describe all blocks, each up to where the next one begins."""
    ends = [*(visit.start for visit in visits[1:]), visits[-1].end]
    return [step_of(v, structure_of(v), end) for v, end in zip(visits, ends, strict=True)]


def step_of(visit: Visit, structure: Structure, after: Point) -> Step:
    """Describe one block up to ``after``, where the next one begins, as theory sees it."""
    found = passed(after, visit.start)
    joins = structure.joins
    written = joins[0].written if joins else None
    scale, last = (1.0, "") if written is None else factor_behind(written, visit.start)
    order = found if written is None else passed(written, visit.start)
    return Step(
        skip=bool(joins),
        gain=_gain(visit, structure),
        norms=found.batch_norms,
        other_norms=found.other_norms,
        bends=found.bends,
        layers=tuple(_layers(_inside(visit), after, visit.start)),
        after=_following(after, joins[0].result) if joins else (),
        ends=last in PRODUCTS,
        scale=scale,
        order=order.order,
        identity=_is_identity(visit, structure),
        begun=_begun(visit, joins[0]) if len(joins) == 1 else None,
        silent=_is_silent(visit, structure),
        unit=found.unit,
        known=not structure.unknown,
    )


def _following(after: Point, result: Point) -> tuple[str, ...]:
    """Name what stands between a block's sum and the next block."""
    if result.key == after.key:
        return ()
    found = passed(after, result)
    norms = ("BatchNorm",) * found.batch_norms
    return (*found.bends, *norms, *found.other_norms) or ("a linear operation",)


def _gain(visit: Visit, structure: Structure) -> float:
    """Give E F²/E x² as it was measured at the block's sum, where the pass looked at it."""
    if len(structure.joins) != 1:
        return math.nan if structure.joins else 0.0
    squares = _squares(visit, structure.joins[0])
    if squares is None:
        return math.nan
    written, carried = squares
    return written / carried if written * carried else 0.0


def _squares(visit: Visit, join: Join) -> tuple[float, float] | None:
    """Give E F² and E x² at a sum, where the pass looked at it."""
    made: Sum = next(s for s in visit.sums if s.result.key == join.result.key)
    if made.moments is None:
        return None
    left, right, _ = made.moments
    writes_left = made.left is join.written if join.written else made.left is None
    return (left, right) if writes_left else (right, left)


def _is_identity(visit: Visit, structure: Structure) -> bool:
    """Whether all that is carried past the block's sums is its input."""
    joins = structure.joins
    before = [*(join.result for join in joins[1:]), visit.start]
    return all(same_stream(j.carried, p) for j, p in zip(joins, before, strict=False))


def _is_silent(visit: Visit, structure: Structure) -> bool:
    """Whether a block writes nothing but zeros, and no gradient comes back through its branch.

    A chance vector that comes back as zero says that the whole Jacobian is zero.
    """
    noise = generator(0, "silent")
    for join in structure.joins:
        squares = _squares(visit, join)
        if squares is None or squares[0] != 0:
            return False
        if join.written is not None:
            vector = torch.randn(join.written.shape, generator=noise)
            vector = vector.to(join.written.device, join.written.dtype)
            if bool(pulled_back(vector, join.written, visit.start).any()):
                return False
    return bool(structure.joins)


def _begun(visit: Visit, join: Join) -> Moments | None:
    """Give what theory expects a skip to carry that begins with a BatchNorm, None elsewhere."""
    if join.carried is None or same_stream(join.carried, visit.start):
        return None
    found = passed(join.carried, visit.start)
    if found.other_norms or not found.unit:
        return None
    last = operation(join.carried.edge.node)
    if "BatchNorm" in last:
        return Moments(moment=1.0, mean=0.0)
    if found.order[:2] != ("BatchNorm", "ReLU"):
        return None
    activated = Moments(moment=UNIT, mean=UNIT * MEAN_STEP)
    if found.order == ("BatchNorm", "ReLU", MATRIX):
        layers = list(_layers(_shortcut(visit), join.carried, visit.start))
        return behind(activated, layers[0]) if len(layers) == 1 else None
    if len(found.order) > 2 or last not in ("Relu", "ConstantPadNd"):
        return None
    share = _share_not_padded(join.carried) if last == "ConstantPadNd" else 1.0
    return Moments(moment=share * activated.moment, mean=share * activated.mean)


def _share_not_padded(point: Point) -> float:
    """Give the share of a padded stream that is not padding."""
    node: Any = point.edge.node
    pads = node._saved_pad
    pairs = list(zip(pads[::2], pads[1::2], strict=True))
    sizes = list(reversed(point.shape))[: len(pairs)]
    return math.prod((size - sum(pair)) / size for size, pair in zip(sizes, pairs, strict=True))


def behind(before: Moments, layer: Layer, scale: float = 1.0) -> Moments:
    """Give the moments behind a matrix of independent weights, times a factor of E α² = scale."""
    mean = layer.weights * layer.kept * before.mean + layer.biases
    return Moments(moment=scale * (layer.weights * before.moment + layer.biases), mean=scale * mean)


def _inside(visit: Visit) -> list[nn.Module]:
    """List the modules of a block's branch, or all but its shortcut."""
    inside = visit.module if visit.site.branch is None else visit.module.get_submodule("branch")
    left_out = set(_shortcut(visit)) if inside is visit.module else set()
    return [module for module in inside.modules() if module not in left_out]


def _shortcut(visit: Visit) -> list[nn.Module]:
    beside = visit.site.shortcut
    if beside is None:
        return []
    name = beside.removeprefix(f"{visit.site.name}.")
    return list(visit.module.get_submodule(name).modules())


def _layers(modules: list[nn.Module], end: Point, start: Point) -> Iterator[Layer]:
    """Describe the matrices among modules, in the order in which they stand there."""
    shares = tap_shares(end, start)
    for module in modules:
        if not isinstance(module, MATRICES):
            continue
        outputs, bias = len(module.weight), module.bias
        squares = torch.linalg.vector_norm(module.weight.detach(), dim=(0, 1), dtype=torch.float64)
        squares = squares.square().cpu()  # of every tap
        share = shares.get(id(module.weight), torch.ones_like(squares))
        total = float((squares * share).sum())
        yield Layer(
            weights=total / outputs,
            biases=0.0 if bias is None else float(bias.detach().double().square().mean()),
            width=outputs,
            kept=float((squares * share.square()).sum()) / total if total else 1.0,
        )
