"""The rates that are tried at one depth: factors of two, and finer beside the best one.

Rates are multiples of a given one, and stand as log₂ of the multiple. Where the best lies less than
two steps from an end of the grid, the grid goes on there; then half-steps stand on both sides of
the best, and a step half as wide above it where the next rate exploded: a loss falls gently towards
its best rate and rises like a wall beyond it, so that is where a step of two hides most.
"""

from collections.abc import Callable, Mapping

import numpy as np

Grid = Mapping[float, "list[float]"]  # losses, seed by seed, at each log₂ of the rate
BESIDE = 2  # rates on either side of the best one that there should be
MOVES = 4  # rates beyond the grid at most
FINER = 3  # rates between those of the grid at most
CEILING = 2.0  # times the rise below the best; what is higher has exploded


def explored(run: Callable[[float], list[float]], rates: int) -> Grid:
    """Run at rates around the given one until the best one is enclosed.

    Args:
        run: log₂ of the multiple → end losses, seed by seed; infinite where a run diverged.
        rates: How many to begin with, an odd number.

    Returns:
        The losses, by ascending rate.
    """
    half = rates // 2
    found = {float(multiple): run(float(multiple)) for multiple in range(-half, half + 1)}
    for _ in range(MOVES):
        beyond = _beyond(found)
        if beyond is None:
            break
        found[beyond] = run(beyond)
    best = best_of(found)
    for finer in (best - 0.5, best + 0.5):
        found[finer] = run(finer)
    found = {rate: found[rate] for rate in sorted(found)}
    at, mean = means(found)
    best = int(mean.argmin())
    if best + 1 < len(at) and mean[best + 1] >= ceiling(mean):
        middle = float(at[best] + at[best + 1]) / 2
        found[middle] = run(middle)
    return {rate: found[rate] for rate in sorted(found)}


def _beyond(found: Grid) -> float | None:
    best = best_of(found)
    if max(found) - best < BESIDE:
        return max(found) + 1
    return min(found) - 1 if best - min(found) < BESIDE else None


def means(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Give log₂ of the rates, ascending, and the mean loss at each, infinite if a run diverged."""
    at = np.array(sorted(grid))
    return at, np.array([np.mean(grid[rate]) for rate in at])


def best_of(grid: Grid) -> float:
    """Give the rate whose mean loss is least; the lowest of several."""
    at, mean = means(grid)
    return float(at[mean.argmin()])


def ceiling(mean: np.ndarray) -> float:
    """Give the loss above which a rate has exploded: twice the rise over the two rates below.

    How far an exploded run went says nothing about the best rate, only that it lies below. Where
    there is no rate below the best, the rise is that over the two above.

    Args:
        mean: Mean losses at ascending rates, shape ``(rates,)``, one of them finite.
    """
    best = int(mean.argmin())
    beside = mean[max(best - BESIDE, 0) : best] if best else mean[1 : 1 + BESIDE]
    finite = beside[np.isfinite(beside)]
    return float(mean[best] + CEILING * (finite.max() - mean[best])) if len(finite) else np.inf
