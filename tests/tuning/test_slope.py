"""The slope of the best rate on parabolas with known minima; how often its interval is right."""

import math

import numpy as np
import pytest

from skipwise.tuning import movement_slope, slope_of

DEPTHS = (3, 6, 12)


def grids(slope: float, *, noise: float = 0.0, seed: int = 0, first: float = 0.3):
    """Losses of three seeds at 7 rates, least at ``first + slope·log₂(L/3)``."""
    drawn = np.random.default_rng(seed)
    apart = drawn.normal(size=3)  # seeds lie apart by far more than rates do
    return {
        depth: {
            float(rate): [
                0.5
                + apart[n]
                + 0.1 * (rate - first - slope * math.log2(depth / 3)) ** 2
                + noise * drawn.normal()
                for n in range(3)
            ]
            for rate in range(-3, 4)
        }
        for depth in DEPTHS
    }


@pytest.mark.parametrize("slope", [0.0, -0.5, 1.0])
def test_without_noise_optima_and_slope_are_exact(slope: float):
    found = slope_of(grids(slope))
    wanted = [0.3 + slope * math.log2(depth / 3) for depth in DEPTHS]
    assert list(found.optima.values()) == pytest.approx(wanted, abs=1e-9)
    assert (found.low, found.value, found.high) == pytest.approx((slope,) * 3, abs=1e-9)


def test_the_interval_holds_the_truth_in_about_95_of_100_cases():
    cases, hits = 200, 0
    for seed in range(cases):
        found = slope_of(grids(-0.5, noise=0.1, seed=seed), seed=seed)
        hits += found.low <= -0.5 <= found.high
    error = math.sqrt(0.95 * 0.05 / cases)
    assert 0.95 - 3 * error < hits / cases < 0.95 + 3 * error


def test_a_rate_that_diverged_is_left_out_of_the_fit():
    broken = grids(0.5)
    for grid in broken.values():
        grid[3.0] = [math.inf, 1.0, 1.0]
    assert slope_of(broken).value == pytest.approx(0.5, abs=1e-9)
    with pytest.raises(ValueError, match="every run diverged"):
        slope_of({3: {0.0: [math.inf]}, 6: {0.0: [1.0]}})


def test_an_edge_of_the_grid_is_passed_by_one_step_at_most():
    falling = {
        d: {float(r): [1 - 0.1 * r + 0.001 * r * r] * 2 for r in range(-3, 4)} for d in DEPTHS
    }
    assert max(slope_of(falling).optima.values()) == pytest.approx(4.0)


def test_the_slope_of_the_movement_is_that_of_its_power_law():
    moved = {depth: [step * depth**0.5 for step in range(1, 6)] for depth in (2, 4, 8, 16, 32)}
    assert movement_slope(moved) == pytest.approx(0.5, rel=1e-12)
    assert movement_slope({**moved, 64: [1.0, math.inf, 1.0, 1.0, 1.0]}) == math.inf
