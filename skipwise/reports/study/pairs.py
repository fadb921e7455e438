"""The comparisons: estimate and interval of each, around no difference and the margin."""

import math
from collections.abc import Sequence

from skipwise.comparison.comparison import Comparison
from skipwise.comparison.pairs import Pair
from skipwise.comparison.study import Design
from skipwise.comparison.tables import pairs_sheet
from skipwise.reports.chart import Chart, Table, figure, plain
from skipwise.reports.study.look import as_table, rows_axis

LOOKS = {
    "better": ("var(--third)", "triangle-up"),
    "worse": ("var(--second)", "triangle-down"),
    "equivalent": ("var(--first)", "square"),
    "inconclusive": ("var(--soft)", "circle"),
    "unfinished": ("var(--soft)", "circle-open"),
    "none": ("var(--soft)", "diamond"),
}


def forest(comparison: Comparison) -> Chart | None:
    """Give the chart of the family, None if it is empty."""
    design, pairs = comparison.design, comparison.pairs
    if not any(pair.pairs for pair in pairs):
        return None
    traces = [
        _trace(design, verdict, [(n, pair) for n, pair in enumerate(pairs) if told(pair, verdict)])
        for verdict in LOOKS
        if any(told(pair, verdict) for pair in pairs)
    ]
    unit = " in points" if design.percent else ""
    words = "Right of 0 the first is better. "
    words += f"Bars: the {100 * (1 - design.level):g} % interval of each comparison by itself."
    if design.margin is not None:
        words += " Shaded: differences within the margin."
    return Chart(
        name="pairs-family",
        title="The comparisons that were declared",
        words=words,
        figure=figure(
            traces,
            f"advantage{unit}",
            "",
            yaxis=rows_axis([label(design, pair) for pair in pairs]),
            shapes=_marks(design),
        ),
        table=as_table(pairs_sheet(comparison)),
        height=120 + 56 * len(pairs),
    )


def told(pair: Pair, verdict: str) -> bool:
    """Say whether a pair has runs and this verdict."""
    return pair.pairs > 0 and pair.verdict == verdict


def _trace(design: Design, verdict: str, pairs: Sequence[tuple[int, Pair]]) -> dict:
    factor = 100 if design.percent else 1
    colour, symbol = LOOKS[verdict]
    middle = [factor * pair.advantage for _, pair in pairs]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": verdict,
        "x": plain(middle),
        "y": [n for n, _ in pairs],
        "marker": {"color": colour, "symbol": symbol, "size": 12},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "color": colour,
            "array": _reach([factor * pair.high for _, pair in pairs], middle),
            "arrayminus": _reach(middle, [factor * pair.low for _, pair in pairs]),
        },
    }


def _reach(upper: Sequence[float], lower: Sequence[float]) -> list[float | None]:
    """Give lengths of bars; no bar where an end is infinite."""
    gaps = [a - b for a, b in zip(upper, lower, strict=True)]
    return plain([max(gap, 0.0) if math.isfinite(gap) else 0.0 for gap in gaps])


def _marks(design: Design) -> list[dict]:
    across = {"yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
    zero = {"type": "line", "x0": 0, "x1": 0, "line": {"color": "var(--text)", "width": 1}}
    marks = [{**zero, **across}]
    if design.margin is not None:
        half = design.margin * (100 if design.percent else 1)
        area = {"type": "rect", "x0": -half, "x1": half, "line": {"width": 0}}
        marks.append({**area, "fillcolor": "var(--line)", "opacity": 0.5, **across})
    return marks


def label(design: Design, pair: Pair) -> str:
    """Name a comparison in two short lines: who against whom, and where."""
    first, second = design.arm(pair.first), design.arm(pair.second)
    if first.network == second.network:
        return f"{first.method} / {second.method}<br>{first.network}"
    if first.method == second.method:
        return f"{first.network} / {second.network}<br>{first.method}"
    return f"{first.name} /<br>{second.name}"


def pair_tables(comparison: Comparison) -> tuple[Table, ...]:
    """Give the tables without a chart: of other pairs, and of a family that has no run yet."""
    drawn = any(pair.pairs for pair in comparison.pairs)
    tables = [pairs_sheet(comparison)] if comparison.pairs and not drawn else []
    tables.append(pairs_sheet(comparison, family=False))
    return tuple(as_table(sheet) for sheet in tables if sheet.rows)
