"""By which law a quantity grows along the depth: by a factor a block, or as a power of the depth.

Only rows of one shape can be compared, so a network counts stage by stage: what happens where the
shape changes is left out, and all stages share one rate or one power.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np

from skipwise.analysis import Measurement

EXPLAINED = 0.25  # of the variation of log v may be left by a law that explains it


@final
@dataclass(frozen=True, kw_only=True)
class Growth:
    """What a positive quantity does over the blocks that keep their shape.

    Args:
        blocks: How many these are.
        total: log of the last value over the first, summed over the stages.
        rate: k of the fit ``log v = c_s + k·l``, one k for all stages s.
        exponential: Whether that fit leaves less of log v than ``log v = c_s + p·log(l + 1)``; not
            where no stage has three rows, for then both fit alike.
        by_power: Whether the power explains three quarters of what log v varies by; likewise.
    """

    blocks: int
    total: float
    rate: float
    exponential: bool
    by_power: bool


def stages(signal: Measurement) -> tuple[range, ...]:
    """Give the rows of each stage: at least two after each other, of as many elements."""
    counts = signal["elements"]
    starts = [0, *(n for n, (a, b) in enumerate(pairwise(counts), 1) if a != b), len(counts)]
    return tuple(range(a, b) for a, b in pairwise(starts) if b - a > 1)


def growth(values: Sequence[float], rows: Sequence[range]) -> Growth:
    """Fit both laws to positive values in these stages."""
    logs = [np.log([values[row] for row in stage]) for stage in rows]
    rate, left = _fitted(logs, lambda number: number)
    _, left_by_power = _fitted(logs, np.log1p)
    is_told = any(len(stage) > 2 for stage in rows)
    spread = float(sum(np.square(_centred(log)).sum() for log in logs))
    return Growth(
        blocks=sum(len(stage) - 1 for stage in rows),
        total=float(sum(log[-1] - log[0] for log in logs)),
        rate=rate,
        exponential=is_told and left < left_by_power,
        by_power=is_told and left_by_power <= EXPLAINED * spread,
    )


def _fitted(
    logs: Sequence[np.ndarray], law: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, float]:
    """Give the slope on ``law(l)`` that all stages share, and Σ error²; constants are their own."""
    along = np.concatenate([_centred(law(np.arange(len(log), dtype=float))) for log in logs])
    found = np.concatenate([_centred(log) for log in logs])
    slope = float(along @ found / (along @ along))
    return slope, float(np.square(found - slope * along).sum())


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean()


def ratio(total: float) -> float:
    """Give e to a sum of logarithms, infinity where no float holds it."""
    return math.exp(total) if total < 700 else math.inf
