"""The axes of a measurement: where its rows stand, how they are called, and what is seen of them.

Names stay as they are wherever there is room; only on an axis a long one is shortened.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from skipwise.reports.diagnosis.numbers import known

TICKS = 8  # names under a chart that a phone has room for
LONG, LONGEST = 9, 14  # letters of a name that may be shortened, and of one that must be
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


def brief(name: str, longest: int = LONGEST) -> str:
    """Shorten a name that is too long; its end tells more than its beginning.

    >>> brief("layer1.0"), brief("encoder.layers.11.attention")
    ('layer1.0', '….11.attention')
    """
    return name if len(name) <= longest else f"…{name[1 - longest :]}"


def labels_of(rows: Sequence[str]) -> list[str]:
    """Give the names of rows as an axis has room for them.

    Of long names the parts that more than half of them share are left out, but for numbers.

    >>> labels_of(["trunk.blocks.0.conv1", "trunk.blocks.1.conv2", "end"])
    ['…0.conv1', '…1.conv2', 'end']
    """
    if max(map(len, rows), default=0) <= LONG:
        return list(rows)
    counts = Counter(part for row in rows for part in set(row.split(".")))
    shared = {part for part, n in counts.items() if 2 * n > len(rows) and not part.isdigit()}
    labels = []
    for row in rows:
        parts = row.split(".")
        own = [part for part in parts if part not in shared]
        left_out = len(row) > LONG and own and len(own) < len(parts)
        labels.append(brief(f"…{'.'.join(own)}" if left_out else row))
    return labels


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


def scale_of(
    values: Iterable[float | None],
    others: Iterable[float | None] = (),
    *,
    logarithmic: bool,
) -> tuple[dict[str, Any], bool]:
    """Give an axis that shows all these values; a logarithmic one those that are positive.

    Args:
        values: What must be seen; where none of them is positive the axis is not logarithmic.
        others: What is seen if it is not further away than half of what the values take up.
        logarithmic: Whether the axis is to be so.

    Returns:
        The axis, and whether some of the others are outside of it.
    """
    found, more = ([v for v in some if known(v)] for some in (values, others))
    logarithmic = logarithmic and any(v > 0 for v in found)
    if logarithmic:
        found, more = ([math.log10(v) for v in some if v > 0] for some in (found, more))
    if not found:
        return {}, False
    span = max(found) - min(found) or (0.5 if logarithmic else 0.2 * abs(found[0]) or 2.0)
    least, most = min(found) - span / 2, max(found) + span / 2
    found += [v for v in more if least <= v <= most]
    low, high = min(found) - 0.06 * span, max(found) + 0.06 * span
    axis: dict[str, Any] = {"range": [low, high]}
    if logarithmic:
        axis |= {"type": "log"} | (_decades(low, high) if high - low > 0.9 else {})
    return axis, any(not low <= v <= high for v in more)


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
    """Label some of the rows at equal distances, the first among them."""
    there = [(p, label) for p, label in zip(places, labels_of(rows), strict=True) if known(p)]
    ticks = there[:: max(math.ceil(len(there) / TICKS), 1)]
    return {
        "tickvals": [place for place, _ in ticks],
        "ticktext": [marked(label) for _, label in ticks],
    }


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
