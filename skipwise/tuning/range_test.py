"""The range test: one run whose rate rises from step to step, and what its losses say.

The rate of step k of K is ``η_k = low·(high/low)^(k/(K − 1))``. The loss falls while the rate is of
use, turns where it becomes too high, and then grows without bound. On a quadratic with largest
curvature λ that mode of gradient descent is least when the rate passes the stability limit 2/λ,
and, if the rate rises slowly, as large as at first at 6.3 times the limit: its size at ηλ = x is
exp(c ∫ log|1 − t| dt/t from 0 to x). Groups of parameters keep the ratios of their rates, and the
strategy's own schedule, its average and its guard are set aside.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from skipwise.data import Dataset
from skipwise.experiment import Experiment
from skipwise.strategies import Schedule
from skipwise.tuning.trials import begun, losses_of

MEMORY = 0.9  # β of the mean that decides whether the loss explodes
EXPLODES = 4.0  # so many times the least mean loss
WINDOW = 0.05  # half of the window over which the curve is averaged to be read, a share of it


@dataclass(frozen=True, kw_only=True)
class Rising(Schedule):
    """A rate that rises by the same factor each step, up to one.

    Args:
        start: The first factor, in (0, 1).
    """

    start: float

    def factor(self, step: int, steps: int) -> float:
        """Give start^(1 − k/(K − 1))."""
        return self.start ** (1 - step / (steps - 1))


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The losses of one run under a rising rate.

    Args:
        seed: Of the run.
        rates: Of each step.
        losses: Of the batch of each step, before the update with that step's rate.
        exploded: Whether the run ended because its loss exploded, and not at the highest rate.
    """

    seed: int
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    exploded: bool

    @property
    def curve(self) -> list[float]:
        """The losses, averaged over neighbouring steps."""
        finite = [loss for loss in self.losses if math.isfinite(loss)]
        return averaged(finite, max(round(WINDOW * len(self.losses)), 1))

    @property
    def turn(self) -> float:
        """The rate at which the averaged loss is least."""
        return self.rates[int(np.argmin(self.curve))] if self.curve else self.rates[0]

    @property
    def limit(self) -> float:
        """The rate at which the loss had exploded; infinite if it did not."""
        return self.rates[-1] if self.exploded else math.inf


def sweep(
    experiment: Experiment, dataset: Dataset, *, low: float, high: float, steps: int, seed: int
) -> Sweep:
    """Run the range test once.

    Args:
        experiment: What is run; its schedule, rate, seed and length are replaced.
        dataset: Its data, loaded.
        low: First rate.
        high: Last rate.
        steps: How many updates lie between them.
        seed: Of the run.
    """
    rising = replace(
        experiment.strategy,
        peak_lr=high,
        schedule=Rising(start=low / high),
        averaging=None,
        guard=None,
        freezing=None,
    )
    losses: list[float] = []
    with begun(replace(experiment, strategy=rising), dataset, seed, steps) as (run, _):
        for loss in losses_of(run):
            losses.append(loss)
            if explodes(losses):
                break
    rates = tuple(rising.rate(step, steps) for step in range(len(losses)))
    return Sweep(seed=seed, rates=rates, losses=tuple(losses), exploded=explodes(losses))


def explodes(losses: Sequence[float]) -> bool:
    """Whether the mean loss has grown to four times its least, or is not finite.

    The mean is ``m_k = (1 − β) Σ β^(k − i) loss_i / (1 − β^k)`` with β = 0.9.

    >>> explodes([1.0] * 10 + [2.0] * 50), explodes([1.0] * 10 + [30.0, 30.0])
    (False, True)
    """
    mean, least = 0.0, math.inf
    for count, loss in enumerate(losses, 1):
        mean = MEMORY * mean + (1 - MEMORY) * loss
        now = mean / (1 - MEMORY**count)
        if not now <= EXPLODES * least:
            return True
        least = min(least, now)
    return False


def averaged(values: Sequence[float], half: int) -> list[float]:
    """Give the mean of each value and its ``half`` neighbours on either side, fewer at the ends.

    >>> averaged([0.0, 3.0, 6.0, 3.0], 1)
    [1.5, 3.0, 4.0, 4.5]
    """
    windows = (values[max(n - half, 0) : n + half + 1] for n in range(len(values)))
    return [sum(window) / len(window) for window in windows]
