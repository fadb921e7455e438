"""Schedules: (step, steps) → the factor on the peak learning rate.

A schedule is a function of the step alone, so a run that was interrupted, extended, or whose length
was fitted to a budget of time needs no state for it.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass


class Schedule(ABC):
    """The frozen choice of a schedule."""

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """Give the factor for the update after ``step`` of ``steps`` were taken, 0 at first."""


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """Always one."""

    def factor(self, step: int, steps: int) -> float:
        """Give one."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Rise linearly for a share of the run, then fall to zero as ½(1 + cos πt).

    Args:
        warmup: Share of the run, in [0, 1).

    Source: Loshchilov, Hutter (2017), SGDR, eq. 5 without restarts; Goyal et al. (2017), section
    2.2 (warm-up).
    """

    warmup: float = 0.05

    def __post_init__(self):
        _check_share(self.warmup)

    def factor(self, step: int, steps: int) -> float:
        """Give the factor."""
        rise, t = _phases(step, steps, self.warmup)
        return rise * 0.5 * (1 + math.cos(math.pi * t))


@dataclass(frozen=True, kw_only=True)
class WarmupLinear(Schedule):
    """Rise linearly for a share of the run, then fall linearly to zero.

    Args:
        warmup: Share of the run, in [0, 1).

    Source: the triangle of Page (2018), "How to train your ResNet".
    """

    warmup: float = 0.2

    def __post_init__(self):
        _check_share(self.warmup)

    def factor(self, step: int, steps: int) -> float:
        """Give the factor."""
        rise, t = _phases(step, steps, self.warmup)
        return rise * (1 - t)


def _check_share(warmup: float) -> None:
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup is a share of the run and must lie in [0, 1), got {warmup}")


def _phases(step: int, steps: int, warmup: float) -> tuple[float, float]:
    """Give the factor of the rise, and the share t in [0, 1) of the fall that is over."""
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising, 0.0
    return 1.0, (step - rising) / max(steps - rising, 1)
