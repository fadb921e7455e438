"""Validation over steps and over seconds: the median of an arm's runs, and the middle half."""

from collections.abc import Sequence

import numpy as np

from skipwise.comparison.comparison import Comparison
from skipwise.comparison.study import Arm, ArmRun, StudyRecord
from skipwise.comparison.words import Unit
from skipwise.reports.chart import Chart, Table, figure, line, plain
from skipwise.reports.study.look import arms_of, networks, on, score_axis, style

POINTS = 60  # of a curve
ROWS = 10  # of its table
AXES = {"step": "step", "seconds": "seconds of training"}
Band = tuple[np.ndarray, np.ndarray]  # places, shape (points,), and quartiles, shape (3, points)


def band(runs: Sequence[ArmRun], axis: str, worst: float) -> Band | None:
    """Give the quartiles of the runs' scores at common places.

    Between its evaluations a run is taken to move on a straight line; after its last it stays as it
    was, or, if it diverged, at the worst score. Before every run was evaluated there is no band.

    Args:
        runs: The runs of one arm.
        axis: ``step`` or ``seconds``.
        worst: What a diverged run scores.

    Returns:
        None if no run has a curve.
    """
    curves = [_curve(run, axis) for run in runs]
    if not any(len(x) for x, _ in curves):
        return None
    first = max(x[0] for x, _ in curves if len(x))
    last = max(x[-1] for x, _ in curves if len(x))
    places = np.unique(np.concatenate([x for x, _ in curves]))
    places = places[(places >= first) & (places <= last)]
    if len(places) > POINTS:
        places = np.linspace(first, last, POINTS)
    values = np.full((len(runs), len(places)), worst)
    for row, run, (x, y) in zip(values, runs, curves, strict=True):
        if len(x):
            row[:] = np.interp(places, x, y)
            row[(places > x[-1]) & run.failed] = worst
    return places, np.quantile(values, (0.25, 0.5, 0.75), axis=0)


def _curve(run: ArmRun, axis: str) -> tuple[np.ndarray, np.ndarray]:
    points = [(vars(point)[axis], point.score) for point in run.curve]
    both = np.array(points, np.float64).reshape(-1, 2)
    both = both[np.isfinite(both).all(1)]
    return both[:, 0], both[:, 1]


def bands(record: StudyRecord, comparison: Comparison) -> list[Chart]:
    """Give the charts of each network, by step and by second."""
    found = [
        _chart(record, comparison, n, network, axis)
        for n, network in enumerate(networks(record.design))
        for axis in AXES
    ]
    return [chart for chart in found if chart is not None]


def _chart(
    record: StudyRecord, comparison: Comparison, n: int, network: str, axis: str
) -> Chart | None:
    design, found = record.design, []
    for arm in arms_of(design, network):
        its = band(list(record.of(arm.name).values()), axis, comparison.worst[network])
        if its is not None:
            found.append((arm, its))
    if not found:
        return None
    traces = [trace for arm, its in found for trace in _traces(record, arm, its)]
    by = "by step" if axis == "step" else "by time"
    return Chart(
        name=f"curve-{n}-{axis}",
        title=f"Validation {design.metric} {by}{on(comparison, network)}",
        words="The median of the runs, and the band that holds the middle half of them.",
        figure=figure(traces, AXES[axis], design.metric, yaxis=score_axis(design)),
        table=_table(record, found, AXES[axis]),
    )


def _traces(record: StudyRecord, arm: Arm, its: Band) -> list[dict]:
    places, (low, middle, high) = its
    look = style(record.design, arm.method)
    colour = look.pop("colour")
    around = {
        "type": "scatter",
        "mode": "lines",
        "name": f"{arm.method}: middle half",
        "x": plain([*places, *places[::-1]]),
        "y": plain([*high, *low[::-1]]),
        "fill": "toself",
        "fillcolor": colour,
        "line": {"width": 0, "color": colour},
        "opacity": 0.16,
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": arm.name,
    }
    middle_line = line(
        arm.method, plain(places), middle, colour, dots=len(places) < 15, **look
    )  # fmt: skip
    return [around, {**middle_line, "legendgroup": arm.name}]


def _table(record: StudyRecord, found: Sequence[tuple[Arm, Band]], axis: str) -> Table:
    unit = Unit(record.design)
    every = np.unique(np.concatenate([places for _, (places, _) in found]))
    chosen = every[np.unique(np.linspace(0, len(every) - 1, ROWS).round().astype(int))]
    rows = []
    for place in chosen:
        cells = [f"{place:,.6g}"]
        for _, (places, quartiles) in found:
            if not places[0] <= place <= places[-1]:
                cells.append("–")
                continue
            low, middle, high = (float(np.interp(place, places, q)) for q in quartiles)
            spread = high - low
            ends = f"{unit.score(low, spread)} to {unit.score(high, spread)}"
            cells.append(f"{unit.score(middle, spread)} ({ends})")
        rows.append(cells)
    return Table(
        caption="Median, and in brackets the quartiles.",
        columns=[axis, *(arm.method for arm, _ in found)],
        rows=rows,
    )
