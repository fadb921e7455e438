"""Signal and gradient through the depth of a network, with mean-field theory over them.

Where does the signal grow or die, do two inputs stay apart, what norm has the gradient at each
block? Every curve stands beside what theory expects of such a network at the start of its training.
"""

import math
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from skipwise.analysis.depth.boundaries import boundary_gradients, inner, row_names
from skipwise.analysis.depth.structure import Structure, structure_of
from skipwise.analysis.depth.theory.expectations import distances, expectations
from skipwise.analysis.depth.theory.operations import channel_axis, passed
from skipwise.analysis.depth.theory.stage import Layer, Stage, Step
from skipwise.analysis.forward import Visit, watched_pass
from skipwise.analysis.graph import Point
from skipwise.analysis.measurement import Measurement, Theory
from skipwise.analysis.problem import Loss, pose
from skipwise.analysis.sites import Sites, as_sites
from skipwise.analysis.untouched import untouched
from skipwise.shapes import AnyStream

MATRICES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
PRODUCTS = ("Convolution", "Addmm", "MmBackward", "BmmBackward", "Linear")
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

    Theory speaks of the longest row of blocks of one shape. The figures hold the distance to every
    design, whose least :func:`nearest_design` names.

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
        structures = [structure_of(visit) for visit in seen.visits]
        points, looks, norms = _boundaries(seen.visits, gradients)
        last_axis = zip(looks, _channels_last(seen.visits, points), strict=True)
        taken = [look.columns(last=last) for look, last in last_axis]
        columns = {name: tuple(row[n] for row in taken) for n, name in enumerate(COLUMNS)}
        columns |= _sizes(points, norms)
        first, last = longest_row(points)
        stage = _stage(seen.visits, structures, points, columns, first, last)
        theories = [_placed(t, first, len(points)) for t in expectations(stage)]
    return Measurement(
        name="Signal and gradient through the depth",
        formula="q = E x², ‖g‖ = ‖∂L/∂x‖ at the input of every block",
        source="Schoenholz et al. (2017); Brock et al. (2021)",
        rows=(*row_names(seen.visits), "end")[: len(points)],
        columns=columns,
        figures={f"{DISTANCE}{name}": value for name, value in distances(stage).items()},
        theories=tuple(theories),
        notes=_notes(stage, first, last, len(points)),
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


def longest_row(points: list[Point]) -> tuple[int, int]:
    """Give the first and last number of the longest row of points of one shape."""
    best, first = (0, 0), 0
    for number in range(1, len(points) + 1):
        if number == len(points) or points[number].shape != points[first].shape:
            best = max(best, (first, number - 1), key=lambda pair: pair[1] - pair[0])
            first = number
    return best


@final
@dataclass(frozen=True, kw_only=True)
class _Look:
    """Moments of a stream; the channel mean square with channels second, and with them last."""

    moment: float
    middles: tuple[float, float]
    cosine: float

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


def _stage(
    visits: tuple[Visit, ...],
    structures: list[Structure],
    points: list[Point],
    columns: dict[str, tuple[float, ...]],
    first: int,
    last: int,
) -> Stage:
    """Describe the longest row of one shape, or nothing where a block in it is unknown."""
    numbers = range(first, last)
    if any(structures[number].unknown for number in numbers):
        numbers = range(0)
    steps = [step_of(visits[n], structures[n], points[n + 1]) for n in numbers]
    rows = slice(first, first + len(steps) + 1)
    return Stage(
        steps=tuple(steps),
        moment=columns["second moment"][rows],
        variance=columns["channel variance"][rows],
        correlation=columns["correlation"][rows],
        gradient=columns["gradient norm"][rows],
    )


def steps_of(visits: tuple[Visit, ...]) -> list[Step]:
    """Describe all blocks, each up to where the next one begins."""
    ends = [*(visit.start for visit in visits[1:]), visits[-1].end]
    return [step_of(v, structure_of(v), end) for v, end in zip(visits, ends, strict=True)]


def step_of(visit: Visit, structure: Structure, after: Point) -> Step:
    """Describe one block up to ``after``, where the next one begins, as theory sees it."""
    found = passed(after, visit.start)
    joins = structure.joins
    written = joins[0].written if joins else None
    last = written.edge.node.name() if written else ""
    return Step(
        skip=bool(joins),
        gain=_gain(visit, structure),
        norms=found.batch_norms,
        other_norms=found.other_norms,
        bends=found.bends,
        layers=_layers(visit),
        after=_following(after, joins[0].result) if joins else (),
        ends=any(word in last for word in (*PRODUCTS, "Mul")),
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
    join = structure.joins[0]
    made = next(s for s in visit.sums if s.result.key == join.result.key)
    if made.moments is None:
        return math.nan
    left, right, _ = made.moments
    writes_left = made.left is join.written if join.written else made.left is None
    return (left / right if writes_left else right / left) if left * right else 0.0


def _layers(visit: Visit) -> tuple[Layer, ...]:
    """List the matrices of a block in the order in which they stand in it, shortcuts left out."""
    beside = visit.site.shortcut
    inside = visit.module if visit.site.branch is None else visit.module.get_submodule("branch")
    left_out = set()
    if beside is not None and inside is visit.module:
        name = beside.removeprefix(f"{visit.site.name}.")
        left_out = set(visit.module.get_submodule(name).modules())
    found = []
    for module in inside.modules():
        if isinstance(module, MATRICES) and module not in left_out:
            weight, bias = module.weight.detach().double(), module.bias
            found.append(
                Layer(
                    weights=float(weight.square().sum()) / len(weight),
                    biases=0.0 if bias is None else float(bias.detach().double().square().mean()),
                    width=len(weight),
                )
            )
    return tuple(found)


def _placed(theory: Theory, first: int, rows: int) -> Theory:
    """Put a stage's curve in its place among all rows."""

    def put(values: tuple[float, ...]) -> tuple[float, ...]:
        if not values:
            return ()
        return (*[math.nan] * first, *values, *[math.nan] * (rows - first - len(values)))

    return Theory(**{
        **vars(theory),
        "values": put(theory.values),
        "low": put(theory.low),
        "high": put(theory.high),
    })


def _notes(stage: Stage, first: int, last: int, rows: int) -> tuple[str, ...]:
    notes = []
    if not stage.steps:
        notes.append("no theory: the longest row of blocks of one shape holds an unknown block")
    elif (first, last) != (0, rows - 1):
        notes.append(f"theory speaks of rows {first + 1} to {last + 1}, the longest of one shape")
    found = distances(stage)
    if found:
        ranked = sorted(found, key=lambda name: found[name])
        said = ", ".join(f"{name} ({found[name]:.2f})" for name in ranked[:3])
        notes.append(f"nearest designs, by distance of logarithms: {said}")
    return tuple(notes)
