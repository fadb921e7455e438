"""Intervals against scipy's."""

import pytest
from scipy.stats import binomtest, norm

from skipwise.reports.statistics import of_difference, of_mean, wilson


@pytest.mark.parametrize(
    ("right", "examples"), [(0, 5), (8, 10), (350, 359), (9320, 10000), (3, 3)]
)
def test_the_interval_of_a_share_is_wilsons(right: int, examples: int):
    truth = binomtest(right, examples).proportion_ci(method="wilson")
    assert wilson(right, examples) == pytest.approx((truth.low, truth.high), abs=1e-6)


def test_the_interval_of_a_mean_is_the_normal_one():
    truth = norm.interval(0.95, loc=2.0, scale=3.0 / 10)
    assert of_mean(2.0, 3.0, 100) == pytest.approx(truth, rel=1e-6)


def test_the_spread_of_a_difference_adds_variances():
    variance = 0.9 * 0.1 / 50 + 0.7 * 0.3 / 80
    assert of_difference(0.9, 50, 0.7, 80) == pytest.approx(norm.ppf(0.975) * variance**0.5)
