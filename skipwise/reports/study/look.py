"""How arms look and scores are written, alike in every chart of a study."""

from collections.abc import Sequence
from typing import Any

from skipwise.comparison.comparison import Comparison
from skipwise.comparison.study import Arm, Design
from skipwise.comparison.tables import Sheet
from skipwise.reports.chart import DASHES, SERIES, SYMBOLS, Table


def style(design: Design, method: str) -> dict[str, Any]:
    """Give colour, dash and symbol of a method: the same in all networks."""
    n = methods(design).index(method)
    return {
        "colour": SERIES[n % len(SERIES)],
        "line": {"dash": DASHES[n % len(DASHES)]},
        "marker": {"symbol": SYMBOLS[n % len(SYMBOLS)]},
    }


def methods(design: Design) -> list[str]:
    """Name every method once, in the order of the arms."""
    return list(dict.fromkeys(arm.method for arm in design.arms))


def networks(design: Design) -> list[str]:
    """Name every network once, in the order of the arms."""
    return list(dict.fromkeys(arm.network for arm in design.arms))


def arms_of(design: Design, network: str) -> list[Arm]:
    """Give the arms of a network."""
    return [arm for arm in design.arms if arm.network == network]


def on(comparison: Comparison, network: str) -> str:
    """Give the end of a title that tells of which network it is, where there are several."""
    return f", {network}" if len(networks(comparison.design)) > 1 else ""


def score_axis(design: Design) -> dict[str, Any]:
    """Give what an axis of scores needs."""
    return {"tickformat": ".1%"} if design.percent else {}


def rows_axis(labels: Sequence[str]) -> dict[str, Any]:
    """Give the axis of a chart with one row a label, the first at the top."""
    at = list(range(len(labels)))
    return {
        "tickvals": at,
        "ticktext": list(labels),
        "range": [len(labels) - 0.5, -0.5],
        "showgrid": False,
        "zeroline": False,
    }


def as_table(sheet: Sheet) -> Table:
    """Give a table for papers as one of the page."""
    return Table(caption=f"{sheet.caption}.", columns=sheet.columns, rows=sheet.rows)
