"""A measurement drawn: what was measured, and over it what theory expects, with its band.

A theory whose condition is not met is thin, grey and without band, and does not decide what part of
the axis is seen. What is not known is a gap.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from skipwise.reports.chart import HEAT, SERIES, SYMBOLS, TRAIN, figure
from skipwise.reports.diagnosis.axes import Places, brief, marked, places_of, scale_of
from skipwise.reports.diagnosis.numbers import known

REFUTED = "var(--soft)"
MOST = 500  # points of a curve; of more rows only one in so many is drawn, as the axis says
MANY = 60  # points, of which a curve has no symbols any more
TITLE = 40  # letters of an axis' title
STANDING = {
    True: "Holds here",
    False: "Does not hold here, so it is drawn thin and grey, without band",
    None: "Whether it holds here is not known",
}
Values = Sequence[float | None]


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What the caption says of a theory."""

    name: str
    standing: str
    condition: str
    formula: str
    source: str
    met: str
    holds: bool | None


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure for plotly.js with its words; ``column`` is what it shows."""

    name: str
    column: str
    words: str
    figure: Mapping[str, Any]
    expectations: tuple[Expectation, ...] = ()
    height: int = 340


def drawings_of(measured: Mapping[str, Any], name: str) -> list[Drawing]:
    """Draw the shown column and every other that theory speaks of; a matrix as a heat map.

    Args:
        measured: The plain form of a measurement.
        name: Where it stands in the page; letters, digits and hyphens.

    Returns:
        None for a column with fewer than two known values: there is nothing to draw.
    """
    if _is_matrix(measured):
        return [_heat(measured, name)]
    measured, columns = _thinned(measured), measured["columns"]
    shown = measured["shown"] or next(iter(columns), "")
    wanted = dict.fromkeys([shown, *(theory["column"] for theory in measured["theories"])])
    return [
        _drawing(measured, column, f"{name}-{n}")
        for n, column in enumerate(wanted)
        if column in columns and sum(map(known, measured["columns"][column])) > 1
    ]


def expectation_of(theory: Mapping[str, Any], values: Values) -> Expectation:
    """Say of a theory whether it holds, and how often the measurement lies within its band."""
    ends = list(zip(values, theory["low"], theory["high"], strict=False))
    within = [low <= v <= high for v, low, high in ends if known(v) and known(low) and known(high)]
    met = f"Measured within its band at {sum(within)} of {len(within)}." if within else ""
    return Expectation(
        name=theory["name"],
        standing=STANDING[theory["holds"]],
        condition=theory["condition"],
        formula=theory["formula"],
        source=theory["source"],
        met="" if theory["holds"] is False else met,
        holds=theory["holds"],
    )


def _thinned(measured: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take one in so many rows of a measurement that has very many."""
    every = math.ceil(len(measured["rows"]) / MOST)
    if every < 2:
        return measured
    edges = ("values", "low", "high")
    return {
        **measured,
        "of": f"{measured['of']}, 1 of {every} drawn",
        "rows": measured["rows"][::every],
        "positions": measured["positions"][::every],
        "columns": {name: column[::every] for name, column in measured["columns"].items()},
        "theories": [t | {e: t[e][::every] for e in edges} for t in measured["theories"]],
    }


def _drawing(measured: Mapping[str, Any], column: str, name: str) -> Drawing:
    values = measured["columns"][column]
    theories = [t for t in measured["theories"] if t["column"] == column]
    believed = [*values]
    for theory in theories:
        if theory["holds"] is not False:
            believed += [*theory["values"], *theory["low"], *theory["high"]]
    refuted = [v for t in theories if t["holds"] is False for v in t["values"]]
    logarithmic = measured["logarithmic"] and _spans(measured, column)
    scale, outside = scale_of(believed, refuted, logarithmic=logarithmic)
    floor = 10 ** scale["range"][0] if logarithmic else None
    places = places_of(measured)
    traces = [
        trace
        for n, theory in enumerate(theories)
        for trace in _theory(theory, places, measured["rows"], n, floor)
    ]
    traces.append(_measured(column, values, places, measured["rows"]))
    words = _words(measured, column, logarithmic=logarithmic)
    return Drawing(
        name=name,
        column=column,
        words=words + " What does not hold here is partly outside the picture." * outside,
        figure=figure(
            traces,
            marked(brief(measured["of"], TITLE)),
            marked(brief(column, TITLE)),
            xaxis=places.axis,
            yaxis=scale,
            hovermode="closest",
        ),
        expectations=tuple(expectation_of(theory, values) for theory in theories),
    )


def _spans(measured: Mapping[str, Any], column: str) -> bool:
    """Whether a column suits a logarithmic scale.

    The shown one does if any of its values is positive. Another, a correlation perhaps, does if all
    are and the largest is over ten times all but the lowest tenth.
    """
    values = sorted(v for v in measured["columns"][column] if known(v))
    if column == (measured["shown"] or next(iter(measured["columns"]))):
        return values[-1] > 0
    return values[0] > 0 and values[-1] > 10 * values[len(values) // 10]


def _words(measured: Mapping[str, Any], column: str, *, logarithmic: bool) -> str:
    values = measured["columns"][column]
    words = f"Measured, by {measured['of']}"
    words += ", on a logarithmic scale." if logarithmic else "."
    unknown = sum(not known(v) for v in values)
    if unknown:
        words += f" {unknown} of {len(values)} values are not known, or not finite: gaps."
    low = sum(known(v) and v <= 0 for v in values)
    if logarithmic and low:
        words += f" {low} of {len(values)} are not positive and have no place on this scale."
    return words


def _measured(column: str, values: Values, places: Places, rows: Sequence[str]) -> dict[str, Any]:
    few = len(values) <= MANY
    return _line(column, values, places, rows) | {
        "mode": "lines+markers" if few else "lines",
        "line": {"color": TRAIN, "width": 2.5},
        "marker": {"color": TRAIN, "size": 7},
        "legendrank": 1,
    }


def _theory(
    theory: Mapping[str, Any],
    places: Places,
    rows: Sequence[str],
    number: int,
    floor: float | None,
) -> Iterator[dict[str, Any]]:
    refuted = theory["holds"] is False
    colour = REFUTED if refuted else SERIES[1 + number % (len(SERIES) - 2)]
    name = f"theory: {theory['name']}"
    if refuted:
        name += " (does not hold)"
    elif theory["low"]:
        yield _band(theory, places, colour, floor)
    look = {"color": colour, "width": 1 if refuted else 2, "dash": "dot" if refuted else "dash"}
    yield _line(name, theory["values"], places, rows) | {
        "mode": "lines+markers" if len(rows) <= MANY else "lines",
        "line": look,
        "marker": {
            "color": colour,
            "size": 3 if refuted else 5,
            "symbol": SYMBOLS[1 + number % (len(SYMBOLS) - 1)],
        },
    }


def _line(name: str, values: Values, places: Places, rows: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "name": marked(name),
        "x": places.x,
        "y": [v if known(v) else None for v in values],
        "text": [marked(row) for row in rows],
        "hovertemplate": "%{text}: %{y:.4g}<extra>%{fullData.name}</extra>",
        "connectgaps": False,
    }


def _band(
    theory: Mapping[str, Any], places: Places, colour: str, floor: float | None
) -> dict[str, Any]:
    """Fill between the edges, piece by piece where there are gaps between.

    On a logarithmic axis an edge that is not positive is drawn far below what is seen.
    """
    x: list[float | None] = []
    y: list[float | None] = []
    points = list(zip(places.x, theory["low"], theory["high"], strict=True))
    for whole, piece in groupby(points, key=lambda point: all(map(known, point))):
        if whole:
            at, low, high = (list(edge) for edge in zip(*piece, strict=True))
            if floor is not None:
                low, high = ([max(v, floor * 1e-3) for v in edge] for edge in (low, high))
            x += [*at, *reversed(at), None]
            y += [*high, *reversed(low), None]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": marked(f"band: {theory['name']}"),
        "x": x,
        "y": y,
        "fill": "toself",
        "fillcolor": colour,
        "line": {"width": 0, "color": colour},
        "opacity": 0.16,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _is_matrix(measured: Mapping[str, Any]) -> bool:
    """Whether columns are places as rows are: of one name with them, or ``b = 0.5``."""
    columns, rows = list(measured["columns"]), list(measured["rows"])
    square = columns == rows and len(rows) > 1
    return square or (len(columns) > 1 and all(name.startswith("b = ") for name in columns))


def _heat(measured: Mapping[str, Any], name: str) -> Drawing:
    columns, rows = measured["columns"], measured["rows"]
    lines = list(zip(*columns.values(), strict=True))
    ticks = places_of({"rows": list(columns), "positions": []})
    across = measured["of"] if list(columns) == list(rows) else "b"
    heat = {
        "type": "heatmap",
        "x": ticks.x,
        "y": [float(n) for n in range(len(rows))],
        "z": [[float(f"{v:.4g}") if known(v) else None for v in line] for line in lines],
        "customdata": [[marked(column) for column in columns]] * len(rows),
        "text": [[marked(row)] * len(columns) for row in rows],
        "hovertemplate": "%{text}, %{customdata}: %{z:.4g}<extra></extra>",
        "colorscale": HEAT,
        "colorbar": {"thickness": 12},
    }
    return Drawing(
        name=name,
        column=measured["name"],
        words=f"One row for each {measured['of']}, one column for each {across}.",
        figure=figure(
            [heat],
            marked(across),
            marked(measured["of"]),
            xaxis=ticks.axis,
            yaxis=places_of({"rows": rows, "positions": []}).axis,
        ),
        height=460,
    )
