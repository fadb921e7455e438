"""Signal and gradient through the depth of a network, with mean-field theory over them.

Where does the signal grow or die, do two inputs stay apart, what norm has the gradient at each
block? Every curve stands beside what theory expects of such a network at the start of its training.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor, nn

from skipwise.analysis.depth.boundaries import boundary_gradients, inner, row_names
from skipwise.analysis.depth.theory import (
    Stage,
    Step,
    along,
    beginnings,
    channel_axis,
    distances,
    steps_of,
)
from skipwise.analysis.depth.theory.operations import operation
from skipwise.analysis.forward import Visit, watched_pass
from skipwise.analysis.graph import Point
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.problem import Loss, pose
from skipwise.analysis.sites import Sites, as_sites
from skipwise.analysis.untouched import untouched
from skipwise.shapes import AnyStream

COLUMNS = ("second moment", "channel mean square", "channel variance", "correlation")
DISTANCE = "distance to "


def signal(
    model: nn.Module, batch: Any, loss: Loss | None = None, *, sites: Sites | str | None = None
) -> Measurement:
    """Measure the stream and its gradient where every block begins, and where the last one ends.

    * second moment ``q = E x²`` over examples, channels and positions;
    * channel mean square ``E_c (E x_c)²`` and channel variance ``E_c Var x_c``, whose sum is q;
    * correlation: the mean cosine of the streams of two examples;
    * gradient norm ``‖∂L/∂x‖``; gradient size, its root mean square; elements, their number.

    Theory speaks of every row of blocks of one shape, from its own first row on, and of the value
    at which a row begins behind BatchNorm–ReLU. It is that of random weights, except where branches
    start at zero. The figures hold the distance of the longest row to every design, whose least
    :func:`nearest_design` names.

    Args:
        model: Any module, in the mode in which it is to be measured.
        batch: (inputs, targets).
        loss: ``(output, targets) → one number``; the cross-entropy if None.
        sites: The blocks, or a pattern of their names; found if None.

    Returns:
        One row for each call of a block, in order, and one for the end.

    Source: Brock et al. (2021), signal propagation plots; theory: see ``meanfield``.
    """
    problem = pose(model, batch, loss)
    sites = as_sites(problem.model, sites)
    with untouched(problem.model):
        seen = watched_pass(problem, sites, _look)
        gradients = boundary_gradients(seen)
        points, looks, norms = _boundaries(seen.visits, gradients)
        last_axis = zip(looks, _channels_last(seen.visits, points), strict=True)
        taken = [look.columns(last=last) for look, last in last_axis]
        columns = {name: tuple(row[n] for row in taken) for n, name in enumerate(COLUMNS)}
        columns |= _sizes(points, norms)
        steps = steps_of(seen.visits)
        ends = zip(steps, seen.visits, gradients, strict=True)
        let_through = [_let_through(v, g) if step.silent else 1.0 for step, v, (_, g) in ends]
    rows = (*row_names(seen.visits), "end")[: len(points)]
    make = partial(_stage, steps, looks, let_through, columns)
    return _record(rows, columns, steps, _rows_of_one_shape(points), make)


def _record(
    names: tuple[str, ...],
    columns: dict[str, tuple[float, ...]],
    steps: list[Step],
    rows: list[range],
    make: Callable[[range], Stage],
) -> Measurement:
    """Lay theory over the columns."""
    stages = [make(piece) for row in rows for piece in _pieces(row, steps)]
    longest = make(max(rows, key=len))
    found = distances(longest) if longest.known else {}
    return Measurement(
        name="Signal and gradient through the depth",
        formula="q = E x², ‖g‖ = ‖∂L/∂x‖ at the input of every block",
        source="Schoenholz et al. (2017); Brock et al. (2021)",
        rows=names,
        columns=columns,
        figures={f"{DISTANCE}{name}": value for name, value in found.items()},
        theories=(*along(stages, len(names)), *beginnings(steps, len(names))),
        notes=_notes(longest, stages, found, len(names)),
        shown="gradient norm",
        logarithmic=True,
    )


def nearest_design(measured: Measurement) -> str:
    """Name the design that a measurement of :func:`signal` behaves like, or ``"none"``.

    One is named if its curves are within a factor e of the measured ones, root mean square.
    """
    named = {
        name.removeprefix(DISTANCE): value
        for name, value in measured.figures.items()
        if name.startswith(DISTANCE)
    }
    if not named or min(named.values()) > 1:
        return "none"
    return min(named, key=lambda name: named[name])


@final
@dataclass(frozen=True, kw_only=True)
class _Look:
    """Moments of a stream; the channel mean square with channels second, and with them last.

    ``rectified`` says whether no number is negative.
    """

    moment: float
    middles: tuple[float, float]
    cosine: float
    rectified: bool

    def columns(self, *, last: bool) -> tuple[float, float, float, float]:
        """Give the four columns, for channels that are the last axis or the second."""
        middle = self.middles[int(last)]
        return self.moment, middle, self.moment - middle, self.cosine


def _look(stream: AnyStream) -> _Look:
    """Take the moments of a stream, in double precision."""
    x = stream.double()
    flat = x.flatten(1) if x.dim() > 1 else x[:, None]
    unit = flat / flat.norm(dim=1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
    count = len(unit)
    pairs = (unit.sum(0).square().sum() - unit.square().sum()) / max(count * (count - 1), 1)
    return _Look(
        moment=float(x.square().mean()),
        middles=(_middle(x, 1), _middle(x, x.dim() - 1)),
        cosine=float(pairs) if count > 1 else math.nan,
        rectified=bool((x >= 0).all()),
    )


def _middle(x: Tensor, axis: int) -> float:
    rest = [other for other in range(x.dim()) if other != axis]
    mean = x.mean(rest) if x.dim() > 1 else x.mean()
    return float(mean.square().mean())


def _channels_last(visits: tuple[Visit, ...], points: list[Point]) -> list[bool]:
    """Say of every point whether channels are the last axis of the stream there.

    Where nothing tells, as at the end, it is as before; at first (batch, tokens, width) is taken
    for tokens.
    """
    found: list[bool] = []
    ends = (*points[1:], visits[-1].end)
    for number, point in enumerate(points):
        last = len(point.shape) - 1
        axis = channel_axis(ends[number], point) if last > 1 else last
        usual = found[-1] if found else last == 2
        found.append(usual if axis is None else axis == last)
    return found


def _boundaries(
    visits: tuple[Visit, ...], gradients: list[tuple[Tensor, Tensor]]
) -> tuple[list[Point], list[Any], tuple[float, ...]]:
    """List the starts of all visits and, unless it is a bare layer, the end of the last."""
    points = [visit.start for visit in visits]
    looks = [visit.entering for visit in visits]
    vectors = [start for start, _ in gradients]
    if any(True for _ in visits[-1].module.children()):
        points.append(visits[-1].end)
        looks.append(visits[-1].leaving)
        vectors.append(gradients[-1][1])
    return points, looks, tuple(math.sqrt(inner(v, v)) for v in vectors)


def _sizes(points: list[Point], norms: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
    counts = tuple(float(point.shape.numel()) for point in points)
    sizes = tuple(norm / math.sqrt(count) for norm, count in zip(norms, counts, strict=True))
    return {"gradient norm": norms, "gradient size": sizes, "elements": counts}


def _rows_of_one_shape(points: list[Point]) -> list[range]:
    """Give the rows of points of one shape that follow each other."""
    shapes = [point.shape for point in points]
    changes = [n for n, (here, after) in enumerate(pairwise(shapes), 1) if here != after]
    return [range(a, b) for a, b in pairwise([0, *changes, len(points)])]


def _pieces(row: range, steps: list[Step]) -> list[range]:
    """Cut a row of one shape where a skip begins anew; none of a row with an unknown block."""
    blocks = row[:-1]
    if not all(steps[n].known for n in blocks):
        return []
    cuts = [n + 1 for n in blocks if steps[n].begun is not None]
    pieces = [range(a, b) for a, b in pairwise([row.start, *cuts, row.stop])]
    return [piece for piece in pieces if len(piece) > 1]


def _let_through(visit: Visit, gradient: Tensor) -> float:
    """Give the share of ‖g‖² at the end of a block that passes the ReLU there, 1 without one."""
    node: Any = visit.end.edge.node
    whole = inner(gradient, gradient)
    if operation(node) != "Relu" or not whole:
        return 1.0
    passed = gradient * (node._saved_result > 0)
    return inner(passed, passed) / whole


def _stage(
    steps: list[Step],
    looks: list[Any],
    let_through: list[float],
    columns: dict[str, tuple[float, ...]],
    row: range,
) -> Stage:
    """Describe the blocks between the points of one row."""
    cut = slice(row.start, row.stop)
    return Stage(
        steps=tuple(steps[row.start : row.stop - 1]),
        moment=columns["second moment"][cut],
        variance=columns["channel variance"][cut],
        correlation=columns["correlation"][cut],
        gradient=columns["gradient norm"][cut],
        rectified=looks[row.start].rectified,
        let_through=let_through[row.stop - 2] if len(row) > 1 else 1.0,
        first=row.start,
    )


def _notes(
    longest: Stage, stages: list[Stage], found: dict[str, float], rows: int
) -> tuple[str, ...]:
    """Say of which rows theory speaks, and which designs are nearest."""
    notes = []
    if not longest.known:
        notes.append("no theory: the longest row of blocks of one shape holds an unknown block")
    elif len(longest.moment) != rows:
        rows_of = f"{longest.first + 1} to {longest.first + len(longest.moment)}"
        notes.append(f"designs are compared with rows {rows_of}, the longest of one shape")
    if stages and [len(stage.moment) for stage in stages] != [rows]:
        spans = [f"{s.first + 1} to {s.first + len(s.moment)}" for s in stages]
        own = ", each stage from its own first row on" if len(spans) > 1 else ""
        notes.append(f"theory speaks of rows {', '.join(spans)}{own}")
    if found:
        ranked = sorted(found, key=lambda name: found[name])
        said = ", ".join(f"{name} ({found[name]:.2f})" for name in ranked[:3])
        notes.append(f"nearest designs, by distance of logarithms: {said}")
    return tuple(notes)
