"""Averaged weights: the share of the newest weights in the average, as a function of the step."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from skipwise.description import Description


class Averaging(Description, ABC):
    """The frozen choice of an average over the weights of the steps taken."""

    @abstractmethod
    def share(self, step: int, steps: int) -> float:
        """Give the newest weights' share after update ``step`` (counted from 1) of ``steps``."""

    def is_one_of_many(self, step: int, steps: int) -> bool:
        """Whether the newest weights count as much as each before, however many were refused."""
        del step, steps
        return False

    @property
    def remembered(self) -> int:
        """How many of the newest weights with a share are kept, to be left out again; 0 is none."""
        return 0

    def remarks(self, steps: int) -> tuple[str, ...]:
        """Say so where the average of a run of so many steps is that of one of them."""
        if self.share(steps, steps) < 1:
            return ()
        return (
            f"{type(self).__name__} averages the weights of a single step of the run, the last; let"
            " more of them count in strategy.averaging",
        )


@dataclass(frozen=True, kw_only=True)
class EMA(Averaging):
    """Exponential moving average: a ← d·a + (1 − d)·w, with d = min(decay, (1 + t) / (10 + t)).

    The second term lets the average follow quickly at first, when the weights are far from where
    they end.

    Args:
        decay: Memory: about 1 / (1 − decay) steps.

    Source: Polyak, Juditsky (1992) for averaging; the warm-up is that of TensorFlow's
    ``ExponentialMovingAverage``.
    """

    decay: float = 0.998

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.decay < 1:
            raise ValueError(f"decay must lie in (0, 1), got {self.decay}")

    def share(self, step: int, steps: int) -> float:
        """Give 1 − d."""
        return 1 - min(self.decay, (1 + step) / (10 + step))


@dataclass(frozen=True, kw_only=True)
class SWA(Averaging):
    """Stochastic weight averaging: the plain mean of the weights of the last part of the run.

    a ← a + (w − a)/n for the n-th of these weights; before the first a is w. The rate should not be
    near zero there, or all weights are the same: ``StableDecay``, ``Constant`` or ``ToConstant``
    suit it better than ``Cosine``.

    Args:
        last: The share of the run whose weights are averaged, in (0, 1].
        every: Steps from one that counts to the next, counted from the end, so that the last step
            counts.

    Source: Izmailov et al. (2018), "Averaging weights leads to wider optima", algorithm 1. Differs:
    every step counts unless ``every`` says otherwise, where the paper takes one an epoch.
    """

    last: float = 0.25
    every: int = 1

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.last <= 1:
            raise ValueError(
                f"last is a share of the run and must lie in (0, 1], got {self.last}; a quarter is"
                " usual"
            )
        if self.every < 1:
            raise ValueError(f"every must be positive, got {self.every}; 1 averages every step")

    def share(self, step: int, steps: int) -> float:
        """Give 1/n, 1 before the average begins, and 0 between the steps that count."""
        count = self._counted(step, steps)
        if count < 1:
            return 1.0
        return 1 / count if (steps - step) % self.every == 0 else 0.0

    def is_one_of_many(self, step: int, steps: int) -> bool:
        """Whether they are among those that count."""
        return self._counted(step, steps) >= 1 and (steps - step) % self.every == 0

    def _counted(self, step: int, steps: int) -> int:
        """Give how many have counted after so many steps; none or less before the first."""
        averaged = max(round(self.last * steps), 1)
        return math.ceil(averaged / self.every) - math.ceil((steps - step) / self.every)


@dataclass(frozen=True, kw_only=True)
class LAWA(Averaging):
    """Latest weight averaging: the plain mean of the latest few weights, taken at equal distances.

    a = (w₁ + … + wₖ)/k, the k latest of the weights that count; there are fewer of them at first,
    and before the first a is the newest w. What left the window leaves no trace, and weights at
    some distance differ though the rate is low. It keeps k copies of the weights.

    Args:
        latest: k.
        distance: From one that counts to the next, as a share of the run; the last step counts. A
            run with fewer steps than ``1/distance`` counts each.

    Source: Kaddour (2022, arXiv 2209.14981), "Stop wasting my time! Saving days of ImageNet and
    BERT training with latest weight averaging", algorithm 1. Differs: the paper takes the weights
    at the end of every epoch, which is the default's distance in 90 of them.
    """

    latest: int = 6
    distance: float = 1 / 90

    def __post_init__(self):
        super().__post_init__()
        if self.latest < 1:
            raise ValueError(f"latest must be positive, got {self.latest}; 6 is usual")
        if not 0 < self.distance <= 1:
            raise ValueError(
                "distance is a share of the run and must lie in (0, 1], got"
                f" {self.distance}; one epoch's share of it is usual"
            )

    @property
    def remembered(self) -> int:
        """The number k."""
        return self.latest

    def share(self, step: int, steps: int) -> float:
        """Give 1/n for the n-th that counts, n ≤ k, 1 before the first, and 0 between them."""
        count, before = self._counted(step, steps), self._counted(step - 1, steps)
        if count == 0:
            return 1.0
        return 1 / min(count, self.latest) if count > before else 0.0

    def _counted(self, step: int, steps: int) -> int:
        """Give how many have counted after so many steps."""
        apart = max(self.distance * steps, 1.0)
        # Counted from the end, so that the last step counts; rounding must not add one.
        return math.ceil(steps / apart - 1e-9) - math.ceil((steps - step) / apart - 1e-9)
