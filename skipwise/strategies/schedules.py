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


@dataclass(frozen=True, kw_only=True)
class Steps(Schedule):
    """Multiply the rate by ``factor`` at each milestone, after a linear rise.

    Args:
        milestones: Shares of the run, rising, each in (0, 1).
        decay: By what the rate is multiplied there, in (0, 1).
        warmup: Share of the run, in [0, 1).

    Source: He et al. (2015), section 4.2: a tenth after 32,000 and 48,000 of 64,000 steps.
    """

    milestones: tuple[float, ...] = (0.5, 0.75)
    decay: float = 0.1
    warmup: float = 0.0

    def __post_init__(self):
        _check_share(self.warmup)
        inside = all(0 < share < 1 for share in self.milestones)
        if not inside or list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(
                "milestones are rising shares of the run, each in (0, 1), got"
                f" {list(self.milestones)}"
            )
        if not 0 < self.decay < 1:
            raise ValueError(f"decay must lie in (0, 1), got {self.decay}")

    def factor(self, step: int, steps: int) -> float:
        """Give the factor."""
        rise, _ = _phases(step, steps, self.warmup)
        return rise * self.decay ** sum(step >= round(m * steps) for m in self.milestones)


@dataclass(frozen=True, kw_only=True)
class OneCycle(Schedule):
    """Rise from ``start`` to one and fall to ``end``, each along half a cosine.

    Args:
        rise: Share of the run, in (0, 1).
        start: First factor, in (0, 1].
        end: Last factor, in (0, 1].

    Source: Smith, Topin (2017), "Super-convergence"; cosines, as in torch's and fast.ai's. Differs:
    momentum stays as it is, and the last step has the factor before ``end``.
    """

    rise: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    def __post_init__(self):
        if not 0 < self.rise < 1:
            raise ValueError(f"rise is a share of the run and must lie in (0, 1), got {self.rise}")
        for name, value in (("start", self.start), ("end", self.end)):
            if not 0 < value <= 1:
                raise ValueError(f"{name} is a factor and must lie in (0, 1], got {value}")

    def factor(self, step: int, steps: int) -> float:
        """Give the factor."""
        top = max(round(self.rise * steps), 1)
        low, t = (
            (self.start, step / top) if step < top else (self.end, (step - top) / (steps - top))
        )
        nearness = 0.5 * (1 - math.cos(math.pi * t))
        return low + (1 - low) * (nearness if step < top else 1 - nearness)


def _check_share(warmup: float) -> None:
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup is a share of the run and must lie in [0, 1), got {warmup}")


def _phases(step: int, steps: int, warmup: float) -> tuple[float, float]:
    """Give the factor of the rise, and the share t in [0, 1) of the fall that is over."""
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising, 0.0
    return 1.0, (step - rising) / max(steps - rising, 1)
