"""Short runs at neighbouring rates: which one is best, and which cannot be told from it."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.stats import t as student

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
    """Give the ends of the rates that the seeds do not tell from the best.

    A rate that was tried stands for those up to half way to its neighbours, √3 times less or more.

    The difference of two rates is taken seed by seed; it tells them apart if the 95 % interval of
    its mean, by Student's distribution, lies above zero. One seed tells all rates apart. Rates are
    walked from the best outwards, up to the first that is worse.

    Raises:
        ValueError: If all rates diverged.
    """
    if all(math.isinf(np.mean(some)) for some in scores.values()):
        raise ValueError(
            f"every rate from {min(scores):g} to {max(scores):g} diverged; lower the range with"
            " --high, or set strategy.clip_norm"
        )
    rates, best = sorted(scores), best_of(scores)
    at = rates.index(best)
    low = high = at
    while low > 0 and not _is_worse(scores[rates[low - 1]], scores[best]):
        low -= 1
    while high < len(rates) - 1 and not _is_worse(scores[rates[high + 1]], scores[best]):
        high += 1
    return rates[low] / math.sqrt(FACTOR), rates[high] * math.sqrt(FACTOR)


def _is_worse(scores: Sequence[float], best: Sequence[float]) -> bool:
    if not np.isfinite(scores).all():
        return True
    apart, count = np.subtract(scores, best), len(scores)
    if count < 2:
        return True
    half = student.ppf(0.975, count - 1) * apart.std(ddof=1) / math.sqrt(count)
    return bool(apart.mean() > half)


def tidy(rate: float) -> float:
    """Round a rate to two digits, so that what is said is what was tried.

    >>> tidy(0.083333), tidy(1.249e-3)
    (0.083, 0.0012)
    """
    return float(f"{rate:.1e}")
