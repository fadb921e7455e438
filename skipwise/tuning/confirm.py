"""Short runs at neighbouring rates: which cannot be told from the best, and the middle of those.

The best of several noisy means is a matter of luck among rates that are alike: with other seeds it
is another one, at times at the edge beyond which the loss rises. Their middle, on the scale of
logarithms, moves little with the luck and lies farthest from both edges, so that it is taken.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from skipwise.tuning.trials import Trial

FACTOR = 3.0  # between neighbouring rates
MOVES = 3  # at most, beyond the first three rates

Scores = Mapping[float, Sequence[float]]  # of each rate, seed by seed


class NothingFound(ValueError):
    """A search that found no rate: why, and the ends of the range to look in next.

    Args:
        why: What was seen, without a full stop.
        low: The lowest rate to begin with next; None leaves it.
        high: The highest rate; None leaves it.
    """

    def __init__(self, why: str, *, low: float | None = None, high: float | None = None):
        self.why = why
        ends = {"low": low, "high": high}
        self.range = {name: value for name, value in ends.items() if value is not None}
        numbers = ", ".join(f"{name}={value:g}" for name, value in self.range.items())
        super().__init__(f"{why}; look again with Search({numbers})")


def climb(start: float, run: Callable[[float], list[Trial]]) -> dict[float, list[Trial]]:
    """Try ``start / 3``, ``start`` and ``3·start``; while the best stands at an edge, go on there.

    In the end half-way rates, √3 times less and more than the best, are tried too.

    Args:
        start: The rate to begin with.
        run: rate → one trial a seed.

    Returns:
        The trials of each rate.
    """
    found = {rate: run(rate) for rate in map(tidy, (start / FACTOR, start, start * FACTOR))}
    for _ in range(MOVES):
        best, rates = best_of(scores_of(found)), sorted(found)
        if best not in (rates[0], rates[-1]):
            break
        rate = tidy(best * FACTOR if best == rates[-1] else best / FACTOR)
        found[rate] = run(rate)
    best = best_of(scores_of(found))
    for rate in map(tidy, (best / math.sqrt(FACTOR), best * math.sqrt(FACTOR))):
        found[rate] = run(rate)
    return found


def scores_of(trials: Mapping[float, Sequence[Trial]]) -> dict[float, list[float]]:
    """Give the scores of each rate, seed by seed."""
    return {rate: [trial.score for trial in some] for rate, some in trials.items()}


def best_of(scores: Scores) -> float:
    """Give the rate of the least mean; the lowest rate where all diverged."""
    return min(sorted(scores), key=lambda rate: float(np.mean(scores[rate])))


def alike(scores: Scores) -> list[float]:
    """Give the rates, ascending, that are as good as the best, as far as the seeds can tell.

    These are, from the best outwards, all whose mean is at most one standard error of the best's
    mean above it.

    Raises:
        NothingFound: If all rates diverged.

    Source: Breiman et al. (1984), "Classification and regression trees", section 3.4.3, the 1-SE
    rule.
    """
    means = {rate: float(np.mean(some)) for rate, some in scores.items()}
    best, rates = best_of(scores), sorted(scores)
    if math.isinf(means[best]):
        raise NothingFound(
            f"every rate from {rates[0]:g} to {rates[-1]:g} diverged",
            high=tidy(rates[0] / FACTOR),
        )
    count = len(scores[best])
    error = float(np.std(scores[best], ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    low = high = rates.index(best)
    while low > 0 and means[rates[low - 1]] <= means[best] + error:
        low -= 1
    while high < len(rates) - 1 and means[rates[high + 1]] <= means[best] + error:
        high += 1
    return rates[low : high + 1]


def middle(rates: Sequence[float]) -> float:
    """Give the geometric mean of the lowest and the highest of rates that are alike, to two digits.

    It need not have been tried: of a loss that falls and then rises, what lies between two rates
    that are as good as the best is as good too.

    >>> middle([0.1, 0.3, 0.9]), middle([0.1, 0.17]), middle([0.1])
    (0.3, 0.13, 0.1)

    Args:
        rates: Ascending.
    """
    return tidy(math.sqrt(rates[0] * rates[-1]))


def interval(scores: Scores) -> tuple[float, float]:
    """Give the ends of the rates that are as good as the best.

    A rate that was tried stands for those up to half way to its neighbours, on the scale of
    logarithms; the lowest and the highest for as much on their other side.

    Raises:
        NothingFound: If all rates diverged.
    """
    rates, good = np.log(sorted(scores)), np.log(alike(scores))
    borders = (rates[1:] + rates[:-1]) / 2
    borders = np.array([2 * rates[0] - borders[0], *borders, 2 * rates[-1] - borders[-1]])
    low = borders[borders < good[0]].max()
    return math.exp(low), math.exp(borders[borders > good[-1]].min())


def tidy(rate: float) -> float:
    """Round a rate to two digits, so that what is said is what was tried.

    >>> tidy(0.083333), tidy(1.249e-3)
    (0.083, 0.0012)
    """
    return float(f"{rate:.1e}")
