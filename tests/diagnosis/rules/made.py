"""Measurements by hand, so that every number of a rule can be put at its border."""

import math
from collections.abc import Mapping, Sequence

from skipwise.analysis import Measurement, Theory

SKIPS = {"distance to residual, unscaled": 0.1}
PLAIN = {"distance to plain, He": 0.1}


def measured(rows: Sequence[str], columns: Mapping[str, Sequence[float]], **others) -> Measurement:
    return Measurement(
        name="made",
        formula="",
        source="",
        rows=tuple(rows),
        columns={name: tuple(column) for name, column in columns.items()},
        **others,
    )


def curve(column: str, values: Sequence[float], band: float, *, holds: bool | None = True):
    """A theory with a band of the factor ``band`` either way."""
    return Theory(
        name="made",
        column=column,
        formula="",
        condition="",
        values=tuple(values),
        low=tuple(value / band for value in values),
        high=tuple(value * band for value in values),
        holds=holds,
        source="",
    )


def signal_of(
    gradient: Sequence[float],
    moments: Sequence[float] | None = None,
    *,
    elements: Sequence[int] | None = None,
    theories: Sequence[Theory] = (),
    figures: Mapping[str, float] = SKIPS,
) -> Measurement:
    """A measurement of signal and gradient; its rows have one shape unless elements say other."""
    elements = elements or [64] * len(gradient)
    return measured(
        [*(f"block {number}" for number in range(len(gradient) - 1)), "end"],
        {
            "second moment": moments or [1.0 + 0.01 * row for row in range(len(gradient))],
            "correlation": [0.5] * len(gradient),
            "gradient norm": gradient,
            "elements": list(map(float, elements)),
            "gradient size": [g / math.sqrt(n) for g, n in zip(gradient, elements, strict=True)],
        },
        theories=tuple(theories),
        figures=dict(figures),
    )


def geometric(ratio: float, blocks: int) -> list[float]:
    """Values from ``ratio`` down (or up) to 1 by a constant factor."""
    return [ratio ** ((blocks - row) / blocks) for row in range(blocks + 1)]
