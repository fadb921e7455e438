"""Charts over the steps: curvature against its limit, updates, dead units, stale statistics."""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, median
from typing import Any

from skipwise.records import MeasureRecord
from skipwise.reports.chart import HELD, THIRD, TRAIN, Chart, Table, axis_of, figure, line
from skipwise.reports.reading import Reading
from skipwise.reports.words import number, percent

POINTS = 120  # of a curve, and rows of a table
CURVATURE, UNITS = "watch curvature: batch sharpness", "watch units: dead"
UPDATES, STATISTICS = "watch updates: update / weight", "watch normalisation: normalisation"
DOTTED: dict[str, Any] = {"line": {"dash": "dot"}, "marker": {"symbol": "diamond"}}
DASHED: dict[str, Any] = {"line": {"dash": "dash"}, "marker": {"symbol": "square"}}


def over_steps(run: Reading) -> list[Chart]:
    """Give a chart for each monitor that measured something of the whole network."""
    found = [_curvature(run), _updates(run), _units(run), _statistics(run)]
    return [chart for chart in found if chart is not None]


def _measures(run: Reading, name: str) -> list[MeasureRecord]:
    """Give the measurements of one kind, or their means over stretches if there are very many."""
    whole = run.measures(name)
    width = _width(whole)
    return [_mean(whole[n : n + width]) for n in range(0, len(whole), width)]


def _width(measures: Sequence[MeasureRecord]) -> int:
    return max(math.ceil(len(measures) / POINTS), 1)


def _mean(stretch: Sequence[MeasureRecord]) -> MeasureRecord:
    """Give the mean of what is finite by name, at the step of the last."""
    last = stretch[-1]
    found = {name: [v for v in _of(stretch, name) if math.isfinite(v)] for name in last.values}
    values = {name: fmean(known) if known else math.nan for name, known in found.items()}
    return last if len(stretch) == 1 else replace(last, values=values)


def _if_means(run: Reading, name: str) -> str:
    """Say that points stand for several measurements each, if so."""
    width = _width(run.measures(name))
    return f" Each point is the mean of {width:,} measurements." if width > 1 else ""


def _curvature(run: Reading) -> Chart | None:
    measures = _measures(run, CURVATURE)
    if not measures:
        return None
    steps = [m.step for m in measures]
    seen, limits = _of(measures, "seen by the optimiser"), _of(measures, "limit of stability")
    known = any(map(math.isfinite, limits))
    values = seen if known else _of(measures, "batch sharpness")
    traces = [line("batch sharpness", steps, values, TRAIN, dots=True)]
    words = "The curvature that a step meets along the gradient of its own batch"
    if known:
        traces.append(line("limit of stability", steps, limits, HELD, dots=True, **DASHED))
        words += (
            ", as the optimiser sees it, against the largest that its rate can bear. Training often"
            " settles just there; far above it a step overshoots."
        )
    else:
        words += ". For this optimiser no limit of stability is known to hold against it."
    tops = _measures(run, "watch curvature: spectrum")
    largest = _of(tops, "seen by the optimiser")
    if any(map(math.isfinite, largest)):
        at = [m.step for m in tops]
        traces.append(line("largest eigenvalue", at, largest, THIRD, dots=True, **DOTTED))
    columns = ("batch sharpness", "seen by the optimiser", "limit of stability", "seen / limit")
    return Chart(
        name="watch-curvature",
        title="Sharpness against the limit",
        words=words + _if_means(run, CURVATURE),
        figure=figure(traces, "step", "curvature", yaxis=axis_of(values, limits, largest)),
        table=_table("Curvature of a batch.", measures, columns),
    )


def _updates(run: Reading) -> Chart | None:
    measures = _measures(run, UPDATES)
    if not measures:
        return None
    steps = [m.step for m in measures]
    known = [[v for v in m.values.values() if math.isfinite(v)] or [math.nan] for m in measures]
    curves = {
        "largest": [max(values) for values in known],
        "median": [median(values) for values in known],
        "smallest": [min(values) for values in known],
    }
    styles = zip((HELD, TRAIN, THIRD), (DASHED, {}, DOTTED), strict=True)
    traces = [
        line(name, steps, values, colour, dots=True, **style)
        for (name, values), (colour, style) in zip(curves.items(), styles, strict=True)
    ]
    rows = [
        [f"{step:,}", *(number(values[n]) for values in curves.values())]
        for n, step in enumerate(steps)
    ]
    return Chart(
        name="watch-updates",
        title="Update against weight",
        words=(
            "How far a step moved a tensor, as a share of its length, by the update that was really"
            " made. About 0.001 is usual; a weight before a norm settles at a value of its own."
            + _if_means(run, UPDATES)
        ),
        figure=figure(traces, "step", "update / weight", yaxis=axis_of(*curves.values())),
        table=Table(caption="Over all tensors.", columns=["step", *curves], rows=rows),
    )


def _units(run: Reading) -> Chart | None:
    measures = _measures(run, UNITS)
    if not measures:
        return None
    steps = [m.step for m in measures]
    worst = [_largest(m) for m in measures]
    totals = _measures(run, "watch units: units")
    shares = [m.values["dead"] / (m.values["of units"] or math.nan) for m in totals]
    at = [m.step for m in totals]
    traces = [
        line("worst layer", steps, [share for _, share in worst], HELD, dots=True, **DASHED),
        line("all units", at, shares, TRAIN, dots=True),
    ]
    rows = [
        [f"{step:,}", name, percent(share)]
        for step, (name, share) in zip(steps, worst, strict=True)
    ]
    cost = run.measures("watch units")
    return Chart(
        name="watch-units",
        title="Dead units",
        words=(
            f"Units that gave exactly zero on all of {cost[-1].values['examples']:,.0f} examples:"
            " nothing passes them, forward or back."
            f"{_if_means(run, UNITS)}"
        ),
        figure=figure(traces, "step", "share", yaxis={"tickformat": ".0%", "rangemode": "tozero"}),
        table=Table(
            caption="The layer with the largest share.",
            columns=["step", "layer", "dead"],
            rows=rows,
        ),
    )


def _statistics(run: Reading) -> Chart | None:
    measures = _measures(run, STATISTICS)
    if not measures:
        return None
    steps = [m.step for m in measures]
    modes = ("loss in training mode", "loss in evaluation mode")
    curves = [_of(measures, mode) for mode in modes]
    traces = [
        line("training mode", steps, curves[0], TRAIN, dots=True),
        line("evaluation mode", steps, curves[1], HELD, dots=True, **DASHED),
    ]
    return Chart(
        name="watch-statistics",
        title="BatchNorm in both modes",
        words=(
            "Loss of the same training batch with the batch's own statistics and with the running"
            " ones. Where they part, evaluation does not compute what was trained."
            + _if_means(run, STATISTICS)
        ),
        figure=figure(traces, "step", "loss", yaxis=axis_of(*curves)),
        table=_table("Loss of one batch.", measures, (*modes, "relative gap")),
    )


def _of(measures: Sequence[MeasureRecord], name: str) -> list[float]:
    return [m.values.get(name, math.nan) for m in measures]


def _largest(measure: MeasureRecord) -> tuple[str, float]:
    known = {name: share for name, share in measure.values.items() if math.isfinite(share)}
    worst = max(known, key=lambda name: known[name], default="")
    return worst, known.get(worst, math.nan)


def _table(caption: str, measures: Sequence[MeasureRecord], columns: Sequence[str]) -> Table:
    """Give the columns that were measured at all."""
    there = [name for name in columns if any(map(math.isfinite, _of(measures, name)))]
    rows = [
        [f"{m.step:,}", *(number(m.values.get(name, math.nan)) for name in there)] for m in measures
    ]
    return Table(caption=caption, columns=["step", *there], rows=rows)
