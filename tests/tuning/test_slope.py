"""The slope of the best rate on losses with known minima; how often its interval is right."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import t as student

from skipwise.tuning import movement_slope, slope_of
from skipwise.tuning.grid import best_of, ceiling, explored
from skipwise.tuning.slope import RESOLUTION, minimum
from studies.slopes import DRIFTING, SHAPES, simulated

DEPTHS = (3, 6, 12)
Curve = Callable[[float], float]


def parabola(x: float) -> float:
    return 0.1 * x**2


def grids(slope: float, curve: Curve = parabola, *, first: float = 0.3):
    """Losses of three seeds at explored rates, least at ``first + slope·log₂(L/3)``."""
    apart = (-1.0, 0.0, 2.0)  # seeds lie apart by far more than rates do
    return {
        depth: explored(
            lambda u, d=depth: [a + curve(u - first - slope * math.log2(d / 3)) for a in apart], 7
        )
        for depth in DEPTHS
    }


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_of_parabolas_without_noise_optima_are_exact_and_the_interval_is_the_resolution(
    slope: float,
):
    found = slope_of(grids(slope))
    wanted = [0.3 + slope * math.log2(depth / 3) for depth in DEPTHS]
    assert list(found.optima.values()) == pytest.approx(wanted, abs=1e-9)
    half = 1.959964 * RESOLUTION / math.sqrt(2)  # Σ (log₂ L − mean)² is 2
    ends = (slope - half, slope, slope + half)
    assert (found.low, found.value, found.high) == pytest.approx(ends, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != DRIFTING])
def test_the_interval_holds_the_truth_in_about_95_of_100_studies(name: str):
    studies = 150  # python studies/slopes.py simulates 600 of each, at two noises
    found = simulated(SHAPES[name], 0.3, studies)
    error = math.sqrt(0.95 * 0.05 / studies)
    assert 0.93 - 2 * error < found.coverage <= 0.98 + 2 * error
    assert abs(found.bias) < found.width / 10


@pytest.mark.parametrize("slope", [-2.0, -1.0, 1.0])
@pytest.mark.parametrize("edge", [0.25, 0.65, 1.05])
def test_whole_steps_are_exact_whatever_the_shape_and_however_high_runs_explode(
    edge: float, slope: float
):
    def wall(height: float) -> Curve:
        return lambda x: height if x > edge else (1 - math.exp(0.6 * x)) ** 2

    found = [slope_of(grids(slope, wall(height))) for height in (3.0, 1e4, 1e300, math.inf)]
    assert [one.value for one in found] == pytest.approx([slope] * 4, abs=1e-9)
    assert found[0].optima == found[3].optima  # how high an exploded run went says nothing


def test_one_run_of_several_that_diverged_counts_as_an_explosion_of_its_rate():
    broken, whole = grids(0.5), grids(0.5)
    for one, other in zip(broken.values(), whole.values(), strict=True):
        one[max(one)][0] = math.inf
        other[max(other)][:] = [math.inf] * 3
    assert slope_of(broken).optima == slope_of(whole).optima
    with pytest.raises(ValueError, match="at every rate a run diverged"):
        slope_of({3: {0.0: [math.inf, 1.0]}, 6: {0.0: [1.0, 1.0]}})
    with pytest.raises(ValueError, match="an interval needs at least 2 seeds, got 1"):
        slope_of({3: {0.0: [1.0]}, 6: {0.0: [1.0]}})


def test_seeds_that_disagree_widen_the_interval_as_the_jackknife_says():
    def apart(spread: float):
        return {
            depth: explored(lambda u: [parabola(u - s * spread) for s in (-1, 0, 1)], 7)
            for depth in DEPTHS
        }

    # Of parabolas the minimum of the mean is the mean of the minima, whose variance is spread²/3.
    found = slope_of(apart(0.3))
    among, between = 1.1**2 * 0.3**2 / 3 / 2, RESOLUTION**2 / 2
    freedom = 6 * ((among + between) / among) ** 2
    quantile = student.ppf(0.975, freedom)
    assert found.high == pytest.approx(quantile * math.sqrt(among + between), rel=1e-6)


def test_next_to_an_explosion_and_at_an_end_of_the_grid_the_interval_is_wider():
    smooth = slope_of(grids(0.0))
    cut = slope_of(grids(0.0, lambda x: math.inf if x > 0.05 else parabola(x)))
    falling = slope_of(grids(0.0, lambda x: math.exp(-0.1 * x)))
    widths = [found.high - found.low for found in (smooth, cut, falling)]
    assert widths[0] < widths[1] < widths[2]
    # The next rate that was tried, a quarter of a step higher, exploded: between them all is alike.
    half = 1.959964 * math.sqrt((RESOLUTION**2 + 0.25**2 / 12) / 2)
    assert widths[1] == pytest.approx(2 * half, rel=1e-6)
    # Four rates beyond the grid and a half-step, of which the parabola goes on by one at most.
    assert set(falling.optima.values()) == {8.5}


def test_the_best_rate_is_enclosed_and_looked_at_more_closely():
    asked: list[float] = []

    def run(u: float) -> list[float]:
        asked.append(u)
        return [math.inf] if u > 4.3 else [(u - 4.1) ** 2]

    found = explored(run, 3)
    assert asked == [-1, 0, 1, 2, 3, 4, 5, 3.5, 4.5, 4.25]
    assert list(found) == sorted(asked)
    assert best_of(found) == 4.0
    assert explored(lambda u: [u * u], 3).keys() == {-2, -1, -0.5, 0, 0.5, 1, 2}


def test_the_ceiling_is_twice_the_rise_below_the_best():
    assert ceiling(np.array([9.0, 4.0, 1.0, 0.0, 50.0])) == 8.0
    assert ceiling(np.array([np.inf, 1.0, 0.0, 50.0])) == 2.0
    assert ceiling(np.array([0.0, 3.0, np.inf])) == 6.0
    at = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    low, high = (minimum(at, np.array([1, 0.25, 0, y, np.inf])) for y in (2.0, 1e9))
    assert low == high
    wall = minimum(at, np.array([1, 0.25, 0, 1e9, np.inf]))
    # The parabola of least squares through (−1, 1), (−½, ¼), (0, 0) and (½, 2), the ceiling.
    assert wall == pytest.approx(-1.925 / (2 * 2.75), rel=1e-12)


def test_the_slope_of_the_movement_is_that_of_its_power_law():
    moved = {depth: [step * depth**0.5 for step in range(1, 6)] for depth in (2, 4, 8, 16, 32)}
    assert movement_slope(moved) == pytest.approx(0.5, rel=1e-12)
    assert movement_slope({**moved, 64: [1.0, math.inf, 1.0, 1.0, 1.0]}) == math.inf
