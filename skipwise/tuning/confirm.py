"""Short runs at neighbouring rates: which one is best, and which cannot be told from it."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from skipwise.tuning.trials import Trial

FACTOR = 3.0  # between neighbouring rates
MOVES = 3  # at most, beyond the first three rates

Scores = Mapping[float, Sequence[float]]  # of each rate, seed by seed


def climb(start: float, run: Callable[[float], list[Trial]]) -> dict[float, list[Trial]]:
    """Try ``start / 3``, ``start`` and ``3·start``; while the best stands at an edge, go on there.

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
    return found


def scores_of(trials: Mapping[float, Sequence[Trial]]) -> dict[float, list[float]]:
    """Give the scores of each rate, seed by seed."""
    return {rate: [trial.score for trial in some] for rate, some in trials.items()}


def best_of(scores: Scores) -> float:
    """Give the rate of the least mean; the lowest rate where all diverged."""
    return min(sorted(scores), key=lambda rate: float(np.mean(scores[rate])))


def interval(scores: Scores) -> tuple[float, float]:
    """Give the ends of the rates that are as good as the best, as far as the seeds can tell.

    These are, from the best outwards, all whose mean is at most one standard error of the best's
    mean above it. A rate that was tried stands for those up to half way to its neighbours, √3 times
    less or more.

    Raises:
        ValueError: If all rates diverged.

    Source: Breiman et al. (1984), "Classification and regression trees", section 3.4.3, the 1-SE
    rule.
    """
    means = {rate: float(np.mean(some)) for rate, some in scores.items()}
    best = best_of(scores)
    if math.isinf(means[best]):
        raise ValueError(
            f"every rate from {min(scores):g} to {max(scores):g} diverged; lower the range with"
            " --high, or set strategy.clip_norm"
        )
    count = len(scores[best])
    error = float(np.std(scores[best], ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    rates = sorted(scores)
    low = high = rates.index(best)
    while low > 0 and means[rates[low - 1]] <= means[best] + error:
        low -= 1
    while high < len(rates) - 1 and means[rates[high + 1]] <= means[best] + error:
        high += 1
    return rates[low] / math.sqrt(FACTOR), rates[high] * math.sqrt(FACTOR)


def tidy(rate: float) -> float:
    """Round a rate to two digits, so that what is said is what was tried.

    >>> tidy(0.083333), tidy(1.249e-3)
    (0.083, 0.0012)
    """
    return float(f"{rate:.1e}")
