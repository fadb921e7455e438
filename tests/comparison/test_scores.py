"""Summaries of arms."""

import math

import numpy as np
import pytest
from scipy.stats import trim_mean

from skipwise.comparison.scores import bootstrap_interval, interquartile_mean, summarise
from tests.comparison.planted import two


@pytest.mark.parametrize("count", [1, 3, 4, 6, 10, 11])
def test_the_interquartile_mean_trims_a_quarter_at_either_end(count: int):
    scores = np.random.default_rng(count).normal(0, 1, count)
    assert interquartile_mean(scores) == pytest.approx(trim_mean(scores, 0.25))


@pytest.mark.parametrize(("runs", "known"), [(4, False), (5, True)])
def test_a_bootstrap_of_few_runs_is_none(runs: int, known: bool):
    found = summarise(two(np.linspace(0.5, 0.6, runs), np.ones(runs)), "resnet20/momentum")
    assert math.isfinite(found.low) == math.isfinite(found.high) == known


def test_the_bootstrap_is_about_students_where_that_is_right():
    scores = np.random.default_rng(1).normal(0.9, 0.01, 200)
    low, high = bootstrap_interval(scores)
    half = 1.96 * 1.09 * 0.01 / math.sqrt(200)  # the trimmed mean is 9 % less precise than the mean
    assert (low + high) / 2 == pytest.approx(interquartile_mean(scores), abs=half / 5)
    assert (high - low) / 2 == pytest.approx(half, rel=0.2)


def test_a_summary_drops_nothing():
    scores = [0.9, 0.91, math.nan, 0.92]
    found = summarise(two(scores, [0.9] * 4, worst=0.1), "resnet20/momentum")
    assert (found.runs, found.missing, found.diverged) == (4, 4, 1)
    whole = np.array([0.9, 0.91, 0.1, 0.92])
    assert found.mean == pytest.approx(whole.mean())
    assert found.deviation == pytest.approx(whole.std(ddof=1))
    assert found.interquartile_mean == pytest.approx((0.9 + 0.91) / 2)
    assert (found.least, found.median, found.most) == (0.1, pytest.approx(0.905), 0.92)
