"""The axes of a measurement: where its rows stand, how they are called, and what is seen of them.

Names stay as they are wherever there is room; only on an axis a long one is shortened.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from skipwise.reports.diagnosis.numbers import known

TICKS = 8  # names under a chart that a phone has room for
LONGEST = 14  # letters of a name on an axis
DECADES = 7  # labels of a logarithmic axis


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where rows stand.

    Args:
        x: One place for each row, None where it is not known.
        axis: What plotly is told of the axis.
    """

    x: list[float | None]
    axis: dict[str, Any] = field(default_factory=dict)


def brief(name: str) -> str:
    """Shorten a name for an axis; its end tells more than its beginning.

    >>> brief("layer1.0"), brief("encoder.layers.11.attention")
    ('layer1.0', '…11.attention')
    """
    return name if len(name) <= LONGEST else f"…{name[1 - LONGEST :].lstrip('.')}"


def marked(name: str) -> str:
    """Write a name such that plotly, which reads some marks of HTML, shows it as it is."""
    return escape(name, quote=False)


def places_of(measured: Mapping[str, Any]) -> Places:
    """Give the places of a measurement's rows: its ``positions``, or one after the other."""
    rows, positions = measured["rows"], measured["positions"]
    if not positions:
        return Places(x=[float(n) for n in range(len(rows))], axis=_named(rows, range(len(rows))))
    values = [_as_number(row) for row in rows]
    pairs = [(p, v) for p, v in zip(positions, values, strict=True) if known(p)]
    if all(known(v) and math.isclose(p, v, rel_tol=1e-2, abs_tol=1e-9) for p, v in pairs):
        return Places(x=list(positions))
    if all(v and v > 0 and abs(p - math.log10(v)) < 1e-2 for p, v in pairs):
        powers = _powers([p for p, _ in pairs])
        if powers is not None:
            return Places(x=list(positions), axis=powers)
    return Places(x=list(positions), axis=_named(rows, positions))


def scale_of(values: Iterable[float | None], *, logarithmic: bool) -> dict[str, Any]:
    """Give an axis that shows all these values; a logarithmic one those that are positive.

    Where no value is positive the axis is not logarithmic.
    """
    found = [v for v in values if known(v)]
    positive = [v for v in found if v > 0]
    if logarithmic and positive:
        low, high = math.log10(min(positive)), math.log10(max(positive))
        edge = 0.06 * (high - low) or 0.1
        axis = {"type": "log", "range": [low - edge, high + edge]}
        return axis | (_decades(low - edge, high + edge) if high - low > 0.8 else {})
    if not found:
        return {}
    low, high = min(found), max(found)
    edge = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return {"range": [low - edge, high + edge]}


def _decades(low: float, high: float) -> dict[str, Any]:
    """Label the powers of ten, or every so many of them; within two decades 2 and 5 as well."""
    first, last = math.floor(low), math.ceil(high)
    every = math.ceil((last - first) / DECADES)
    digits = (1, 2, 5) if high - low <= 2 else (1,)
    ticks = [float(f"{d}e{n}") for n in range(first, last + 1, every) for d in digits]
    return {"tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def _powers(logs: Sequence[float]) -> dict[str, Any] | None:
    """Label the powers of ten on an axis of logarithms; None if it has less than two of them."""
    first, last = math.ceil(min(logs)), math.floor(max(logs))
    if last <= first:
        return None
    ticks = list(range(first, last + 1, math.ceil((last - first) / DECADES)))
    return {"tickvals": ticks, "ticktext": [f"{10.0**n:g}" for n in ticks]}


def _named(rows: Sequence[str], places: Iterable[float | None]) -> dict[str, Any]:
    """Label some of the rows, the first and the last among them."""
    there = [(p, row) for p, row in zip(places, rows, strict=True) if known(p)]
    count = min(TICKS, len(there))
    chosen = {round(n * (len(there) - 1) / max(count - 1, 1)) for n in range(count)}
    ticks = [there[n] for n in sorted(chosen)]
    return {
        "tickvals": [place for place, _ in ticks],
        "ticktext": [marked(brief(row)) for _, row in ticks],
    }


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
