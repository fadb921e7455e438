"""A chart and the table that says the same, for those who do not see it or want its numbers.

A figure is what plotly.js draws, as plain data. Its colours are names of the page's style,
``var(--name)``, so that it follows light and dark.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")
TRAIN, HELD, THIRD = "var(--first)", "var(--second)", "var(--third)"
SERIES = tuple(f"var(--series-{n})" for n in range(1, 9))
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star", "pentagon")
HEAT = [[n / 4, f"var(--heat-{n})"] for n in range(5)]


@dataclass(frozen=True, kw_only=True)
class Link:
    """Words in a table that lead to another page, by an address relative to this one."""

    words: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns and rows of words; the first column names its row."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Link]]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure with its words.

    Args:
        name: Its place in the page; letters and hyphens.
        title: What it shows.
        words: What there is to see, one or two sentences.
        figure: ``data`` and ``layout`` for plotly.js.
        table: The same in numbers.
        height: In pixels.
        is_summary: Whether the table sums the figure up, and does not hold all that it shows.
    """

    name: str
    title: str
    words: str
    figure: Mapping[str, Any]
    table: Table
    height: int = 340
    is_summary: bool = False


def figure(
    traces: Sequence[Mapping[str, Any]], x: str, y: str, **layout: Any
) -> dict[str, list[Any] | dict[str, Any]]:
    """Put traces and the titles of their axes together; ``layout`` changes the layout."""
    axes = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
    for axis, own in axes.items():
        own.update(layout.pop(axis, {}))
    return {"data": [*traces], "layout": {**axes, **layout}}


def line(
    name: str,
    x: Sequence[float],
    y: Sequence[float],
    colour: str,
    *,
    dots: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """Give the trace of a line, with a symbol at each point if there are few of them."""
    many = len(x) > 60
    trace = {
        "type": "scatter",
        "mode": "lines+markers" if dots and not many else "lines",
        "name": name,
        "x": list(x),
        "y": plain(y),
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "size": 7},
    }
    for key, value in more.items():
        trace[key] = {**trace[key], **value} if key in ("line", "marker") else value
    return trace


def plain(values: Sequence[float]) -> list[float | None]:
    """Replace what is not finite by gaps, and leave out digits that nobody sees."""
    return [float(f"{v:.6g}") if math.isfinite(v) else None for v in values]


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """Give at most so many, evenly spread in their order, the first and the last among them."""
    spread = np.linspace(0, len(items) - 1, min(most, len(items)))
    return [items[n] for n in sorted({round(place) for place in spread})]


def if_left_out(count: int, shown: int, noun: str) -> str:
    """Say that only some of them are shown, if so."""
    return f" Of {count:,} {noun} {shown:,} are shown, evenly spread." if shown < count else ""


def axis_of(*series: Sequence[float]) -> dict[str, Any]:
    """Give the axis that suits values: logarithmic where they are positive and over a factor of 30.

    A logarithmic axis has its labels at 1, 2 and 5, over more than two decades at 1 alone.
    """
    values = [v for some in series for v in some if math.isfinite(v)]
    if not values or min(values) <= 0 or max(values) / min(values) <= 30:
        return {}
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    digits = (1, 2, 5) if high - low <= 2 else (1,)
    ticks = [float(f"{d}e{n}") for n in range(low, high + 1) for d in digits]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
