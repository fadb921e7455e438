"""Two laws of growth are told apart, stage by stage."""

import math

import numpy as np
import pytest

from skipwise.diagnosis.rules.blocks.growth import growth, stages
from tests.diagnosis.rules.made import signal_of


def test_rows_of_one_shape_are_a_stage_and_a_single_row_is_none():
    found = stages(signal_of([1.0] * 7, elements=[64, 64, 64, 32, 16, 16, 8]))
    assert found == (range(0, 3), range(4, 6))


def test_the_rate_is_exact_on_a_constant_factor_and_shared_by_stages():
    values = [3 * 1.5**n for n in range(5)] + [7 * 1.5**n for n in range(4)]
    found = growth(values, [range(0, 5), range(5, 9)])
    assert found.rate == pytest.approx(math.log(1.5), rel=1e-12)
    assert found.total == pytest.approx(7 * math.log(1.5), rel=1e-12)
    assert found.blocks == 7
    assert found.exponential


def test_a_power_is_no_factor():
    found = growth([(n + 1) ** 3.0 for n in range(6)], [range(6)])
    assert not found.exponential
    assert found.by_power
    one_block = growth([1000.0, *[1.0] * 9], [range(10)])
    assert not one_block.exponential
    assert not one_block.by_power


def test_two_rows_fit_both_laws_and_decide_nothing():
    found = growth([1.0, 5.0, 1.0, 9.0], [range(0, 2), range(2, 4)])
    assert not found.exponential
    assert not found.by_power


def test_the_better_fit_is_that_of_least_squares():
    noise = np.random.default_rng(0)
    for _ in range(50):
        stage = [range(0, 6), range(6, 10)]
        logs = noise.normal(size=10).cumsum()
        left = []
        for law in (lambda n: n, np.log1p):
            design = np.zeros((10, 3))
            for number, rows in enumerate(stage):
                design[list(rows), number] = 1
                design[list(rows), 2] = law(np.arange(len(rows)))
            left.append(np.linalg.lstsq(design, logs, rcond=None)[1][0])
        assert growth(np.exp(logs).tolist(), stage).exponential == (left[0] < left[1])
