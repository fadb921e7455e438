"""A curve of theory with its band, and what several theories share."""

import math
from collections.abc import Iterator, Sequence

from skipwise.analysis.depth.meanfield import relu_correlation
from skipwise.analysis.depth.theory.operations import strangers
from skipwise.analysis.depth.theory.stage import Stage
from skipwise.analysis.measurement import Theory

WIDE = (
    "wide layers with independent random weights, as at the start of training (trained ones are not"
    " told apart)"
)


def curve(
    name: str,
    column: str,
    formula: str,
    condition: str,
    values: tuple[float, ...],
    spreads: Sequence[float],
    unmeasured: Sequence[float] | None = None,
    *,
    holds: bool,
    source: str,
) -> Theory:
    """Join a curve with its band of two standard deviations of its logarithm.

    The curve is a mean over networks, of q or of ‖g‖². With s the standard deviation of log q (of
    log‖g‖) one network's logarithm lies s²/2 (s²) lower in the mean, and there the band is centred.
    ``unmeasured`` is the part of s that measured gains do not take up already; all of it if None.
    """
    fall = 1.0 if column == "gradient norm" else 0.5
    lower = spreads if unmeasured is None else unmeasured
    centres = [v * math.exp(-fall * s * s) for v, s in zip(values, lower, strict=True)]
    return Theory(
        name=name,
        column=column,
        formula=formula,
        condition=f"{condition}; band of ±2 standard deviations for one network of this width",
        values=values,
        low=tuple(c * math.exp(-2 * s) for c, s in zip(centres, spreads, strict=True)),
        high=tuple(c * math.exp(2 * s) for c, s in zip(centres, spreads, strict=True)),
        holds=holds,
        source=source,
    )


def remaining(spreads: Sequence[float]) -> list[float]:
    """Give the deviation of log‖g‖ at every block from those of log‖x‖²: what is still to come."""
    return [math.sqrt(max(spreads[-1] ** 2 - s * s, 0)) / 2 for s in spreads]


def correlations_of(stage: Stage, bends: Sequence[int], *, holds: bool) -> Iterator[Theory]:
    """Follow the cosine of two examples through ReLU blocks of so many bends."""
    found = [stage.correlation[0]]
    for step, count in zip(stage.steps, bends, strict=True):
        bent = found[-1]
        for _ in range(count):
            bent = relu_correlation(bent)
        found.append((found[-1] + step.gain * bent) / (1 + step.gain) if step.skip else bent)
    yield Theory(
        name="ReLU",
        column="correlation",
        formula="c' = (c + a·R(c))/(1 + a); plain: c' = R(c)",
        condition=f"{WIDE}, no bias{strangers(['ReLU'], (*stage.strange, *stage.bends))}",
        values=tuple(found),
        holds=holds,
        source="Cho, Saul (2009), eq. 6",
    )
