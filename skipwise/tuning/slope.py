"""How the best rate goes with the depth: a parabola at each depth, a line through their minima.

At depth L the end losses of short runs are fitted by ``y = c_s + k·(u − u*)²`` in u = log₂ of the
rate, with a constant of its own for each seed s, over the grid points next to the best one. The
slope is that of u* on log₂ L by least squares; 0 says that the rate is the same at every depth.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

BESIDE = 2  # grid points on either side of the best one that the parabola is fitted to
RESAMPLES = 2000

Grid = Mapping[float, "list[float]"]  # losses, seed by seed, at each log₂ of the rate


@dataclass(frozen=True, kw_only=True)
class Slope:
    """The slope of log₂ of the best rate on log₂ of the depth, with its 95 % interval.

    Args:
        value: The slope.
        low: Lower end of the interval.
        high: Upper end.
        optima: log₂ of the best rate at each depth.
    """

    value: float
    low: float
    high: float
    optima: Mapping[int, float]


def slope_of(grids: Mapping[int, Grid], *, seed: int = 0) -> Slope:
    """Estimate the slope, with an interval by the bootstrap.

    Residuals of each depth's fit, enlarged by ``√(n / (n − parameters))``, are drawn with
    replacement, added to the fit, and all is fitted anew; the interval lies between the 2.5 and
    97.5 percentiles.

    Args:
        grids: End losses at each depth; infinite where a run diverged.
        seed: Of the bootstrap.

    Source: Efron, Tibshirani (1993), "An introduction to the bootstrap", section 9.4 (residuals)
    and 13.3 (percentiles). The enlargement: Davison, Hinkley (1997), section 6.2.3.
    """
    noise = np.random.default_rng(seed)
    depths = sorted(grids)
    fits = {depth: _fitted(grids[depth]) for depth in depths}
    found = np.array([fits[depth].optimum for depth in depths])
    drawn = np.stack([fits[depth].resampled(noise) for depth in depths], axis=1)
    across = np.log2(depths)
    low, high = np.percentile(_slopes(across, drawn), [2.5, 97.5])
    return Slope(
        value=float(_slopes(across, found[None])[0]),
        low=float(low),
        high=float(high),
        optima=dict(zip(depths, found.tolist(), strict=True)),
    )


def _slopes(across: np.ndarray, optima: np.ndarray) -> np.ndarray:
    """Give the least-squares slopes of rows of optima, shape ``(rows, depths)``."""
    centred = across - across.mean()
    return optima @ centred / (centred @ centred)


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """Losses near the best rate: log₂ rates ``(rates,)``, losses ``(seeds, rates)``."""

    at: np.ndarray
    losses: np.ndarray

    @property
    def optimum(self) -> float:
        return float(_minima(self.at, self.losses.mean(0)[None])[0])

    def resampled(self, noise: np.random.Generator) -> np.ndarray:
        """Give the minima of so many samples of the bootstrap."""
        mean = self.losses.mean(0)
        fit = np.polyval(np.polyfit(self.at, mean, min(2, len(self.at) - 1)), self.at)
        seeds, rates = self.losses.shape
        shift = self.losses.mean(1, keepdims=True) - mean.mean()
        residuals = (self.losses - shift - fit).ravel()
        spare = seeds * rates - (seeds + min(2, rates - 1))
        enlarged = residuals * math.sqrt(seeds * rates / spare) if spare > 0 else residuals
        drawn = noise.choice(enlarged, size=(RESAMPLES, seeds, rates)).mean(1)
        return _minima(self.at, fit + drawn)


def _fitted(grid: Grid) -> _Fit:
    """Keep the grid points next to the best one whose runs did not diverge.

    Raises:
        ValueError: If there is none.
    """
    rates = sorted(rate for rate, losses in grid.items() if np.isfinite(losses).all())
    if not rates:
        raise ValueError("every run diverged, so there is no best rate; lower strategy.peak_lr")
    best = rates.index(min(rates, key=lambda rate: float(np.mean(grid[rate]))))
    near = rates[max(best - BESIDE, 0) : best + BESIDE + 1]
    return _Fit(at=np.array(near), losses=np.array([grid[rate] for rate in near]).T)


def _minima(at: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Give the minima of parabolas through rows of losses, within a step of the grid's ends.

    Where a row has no minimum, or fewer than three points, its best grid point stands for it.
    """
    best = at[curves.argmin(1)]
    if len(at) < 3:
        return best
    middle = at.mean()
    square, straight, _ = np.polyfit(at - middle, curves.T, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        lowest = middle - straight / (2 * square)
    step = at[1] - at[0]
    inside = np.clip(lowest, at[0] - step, at[-1] + step)
    return np.where(square > 0, inside, best)
