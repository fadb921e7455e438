"""Schedules: (step, steps) → the factor on the peak learning rate.

A schedule is a function of the step alone, so a run that was interrupted, extended, or whose length
was fitted to a budget of time needs no state for it.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise

from skipwise.description import Description

LONGEST = 1e9  # cycle of Restarts, in units of the shortest


class Schedule(Description, ABC):
    """The frozen choice of a schedule."""

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """Give the factor for the update after ``step`` of ``steps`` were taken, 0 at first.

        Who looks at a run that is over asks for it after ``steps`` too.
        """

    def remarks(self, steps: int) -> tuple[str, ...]:
        """Say what a run of so many steps should know of it."""
        del steps
        return ()


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
        super().__post_init__()
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
        super().__post_init__()
        _check_share(self.warmup)

    def factor(self, step: int, steps: int) -> float:
        """Give the factor."""
        rise, t = _phases(step, steps, self.warmup)
        return rise * (1 - t)


@dataclass(frozen=True, kw_only=True)
class Steps(Schedule):
    """Multiply the rate by ``decay`` at each milestone, after a linear rise.

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
        super().__post_init__()
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
        super().__post_init__()
        if not 0 < self.rise < 1:
            raise ValueError(f"rise is a share of the run and must lie in (0, 1), got {self.rise}")
        for name, value in (("start", self.start), ("end", self.end)):
            if not 0 < value <= 1:
                raise ValueError(f"{name} is a factor and must lie in (0, 1], got {value}")

    def factor(self, step: int, steps: int) -> float:
        """Give the factor."""
        top = max(round(self.rise * steps), 1)
        low, t = (
            (self.start, step / top)
            if step < top
            else (self.end, (step - top) / max(steps - top, 1))
        )
        nearness = 0.5 * (1 - math.cos(math.pi * t))
        return low + (1 - low) * (nearness if step < top else 1 - nearness)


@dataclass(frozen=True, kw_only=True)
class StableDecay(Schedule):
    """Rise linearly, stay at one, fall linearly to zero: warm-up, stable, decay (WSD).

    With T steps, of which w rise and d fall: (t + 1)/w, then 1, then (T − t)/d.

    Args:
        warmup: Share of the run that rises, in [0, 1).
        decay: Share of the run that falls, in (0, 1]; both together at most 1.

    Source: Hu et al. (2024), "MiniCPM", section 4; the linear fall is that of Hägele et al. (2024),
    "Scaling laws and compute-optimal training beyond fixed training durations".
    """

    warmup: float = 0.05
    decay: float = 0.2

    def __post_init__(self):
        super().__post_init__()
        _check_share(self.warmup)
        if not 0 < self.decay <= 1:
            raise ValueError(
                f"decay is a share of the run and must lie in (0, 1], got {self.decay}"
            )
        if self.warmup + self.decay > 1:
            raise ValueError(
                f"warmup {self.warmup} and decay {self.decay} are shares of one run and add up to"
                " more than 1; lower one of them"
            )

    def factor(self, step: int, steps: int) -> float:
        """Give the factor."""
        rise, _ = _phases(step, steps, self.warmup)
        falling = max(round(self.decay * steps), 1)
        return rise * min((steps - step) / falling, 1.0)


@dataclass(frozen=True, kw_only=True)
class Polynomial(Schedule):
    """Rise linearly, then fall as end + (1 − end)·(1 − t)^power, t the share of the fall.

    Args:
        power: 1 is a line, 2 a parabola.
        end: What it falls to, in [0, 1).
        warmup: Share of the run, in [0, 1).

    Source: You et al. (2017), "Large batch training of convolutional networks", section 5 (power
    2); torch's ``PolynomialLR`` where ``end`` and ``warmup`` are 0.
    """

    power: float = 2.0
    end: float = 0.0
    warmup: float = 0.05

    def __post_init__(self):
        super().__post_init__()
        _check_share(self.warmup)
        if not 0 < self.power < math.inf:
            raise ValueError(f"power must be positive and finite, got {self.power}")
        _check_end(self.end)

    def factor(self, step: int, steps: int) -> float:
        """Give the factor."""
        rise, t = _phases(step, steps, self.warmup)
        return rise * (self.end + (1 - self.end) * (1 - t) ** self.power)


@dataclass(frozen=True, kw_only=True)
class Restarts(Schedule):
    """Rise linearly, then fall as ½(1 + cos πt) in each of some cycles, from one again each time.

    Cycle i of n takes ``growth^i`` parts of what follows the rise, i = 0 … n − 1.

    Args:
        cycles: n, how often it falls.
        growth: How much longer a cycle is than the one before.
        warmup: Share of the run, in [0, 1).

    Source: Loshchilov, Hutter (2017), SGDR, eq. 5, with growth as T_mult. Differs: the cycles fill
    the run, so the length of the first follows from ``cycles`` and ``growth``.
    """

    cycles: int = 3
    growth: float = 2.0
    warmup: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        _check_share(self.warmup)
        if self.cycles < 1:
            raise ValueError(f"cycles must be positive, got {self.cycles}; 1 never restarts")
        if not 0 < self.growth < math.inf:
            raise ValueError(
                f"growth must be positive and finite, got {self.growth}; 1 keeps the length"
            )
        if (self.cycles - 1) * abs(math.log(self.growth)) > math.log(LONGEST):
            raise ValueError(
                f"growth of {self.growth} over {self.cycles} cycles makes the longest more than"
                f" {LONGEST:g} times the shortest; take one nearer to 1, or fewer cycles"
            )

    def factor(self, step: int, steps: int) -> float:
        """Give the factor."""
        rise, _ = _phases(step, steps, self.warmup)
        rising = round(self.warmup * steps)
        if step < rising:
            return rise
        if step == steps:  # the last cycle is over
            return 0.0
        ends = self._ends(steps)
        begun = max(end for end in ends[:-1] if end <= step)
        ended = min(end for end in ends if end > step)
        return 0.5 * (1 + math.cos(math.pi * (step - begun) / (ended - begun)))

    def remarks(self, steps: int) -> tuple[str, ...]:
        """Say so where cycles are too short to fall."""
        short = sum(end - begun < 2 for begun, end in pairwise(self._ends(steps)))
        if short == 0:
            return ()
        return (
            f"{short} of the {self.cycles} cycles of Restarts have fewer than two of the run's"
            f" {steps} steps, so the rate does not fall in them; lower strategy.schedule.cycles, or"
            " train longer",
        )

    def _ends(self, steps: int) -> list[int]:
        """Give the step at which the first cycle begins, and those at which each ends."""
        rising = round(self.warmup * steps)
        parts = [self.growth**cycle for cycle in range(self.cycles)]
        return [rising + round((steps - rising) * sum(parts[:n]) / sum(parts))
                for n in range(self.cycles + 1)]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ToConstant(Schedule):
    """Rise linearly, fall along half a cosine to ``end`` and stay there: for averages of weights.

    With ``SWA(last=0.25)`` the weights that are averaged are those of the constant rate.

    Args:
        until: Share of the run at which the fall is over, in (0, 1).
        end: The factor from there on, in (0, 1].
        warmup: Share of the run, in [0, 1), less than ``until``.

    Source: Izmailov et al. (2018), section 3.1 (a constant rate while weights are averaged);
    torch's ``SWALR`` for the cosine. Differs: in the paper the fall is linear.
    """

    until: float = 0.75
    end: float = 0.2
    warmup: float = 0.05

    def __post_init__(self):
        super().__post_init__()
        _check_share(self.warmup)
        if not 0 < self.until < 1:
            raise ValueError(
                f"until is a share of the run and must lie in (0, 1), got {self.until}"
            )
        if self.warmup >= self.until:
            raise ValueError(
                f"warmup {self.warmup} leaves nothing of the fall that ends at {self.until} of the"
                " run; lower it"
            )
        if not 0 < self.end <= 1:
            raise ValueError(f"end is a factor and must lie in (0, 1], got {self.end}")

    def factor(self, step: int, steps: int) -> float:
        """Give the factor."""
        rise, _ = _phases(step, steps, self.warmup)
        rising, level = round(self.warmup * steps), round(self.until * steps)
        t = 1.0 if step >= level else max(step - rising, 0) / max(level - rising, 1)
        return rise * (self.end + (1 - self.end) * 0.5 * (1 + math.cos(math.pi * t)))


def _check_share(warmup: float) -> None:
    if not 0 <= warmup < 1:
        raise ValueError(
            f"warmup is a share of the run and must lie in [0, 1), got {warmup}; a twentieth of it"
            " is 0.05"
        )


def _check_end(end: float) -> None:
    if not 0 <= end < 1:
        raise ValueError(f"end is a factor and must lie in [0, 1), got {end}")


def _phases(step: int, steps: int, warmup: float) -> tuple[float, float]:
    """Give the factor of the rise, and the share t in [0, 1) of the fall that is over."""
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising, 0.0
    return 1.0, (step - rising) / max(steps - rising, 1)
