"""The sign-flip test against all 2ⁿ flips, scipy, and simulated studies."""

import math
from dataclasses import replace
from functools import partial
from itertools import combinations_with_replacement, product

import numpy as np
import pytest
from scipy.stats import permutation_test, ttest_1samp

from skipwise.comparison.signs import (
    hodges_lehmann,
    least_p,
    seeds_to_see,
    sign_flip_interval,
    sign_flip_p,
    smallest_difference,
)
from studies.simulated import limits, simulate


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)


def by_flips(values: np.ndarray) -> float:
    """Count all choices of signs, one by one, in whole numbers where the values are whole."""
    seen = abs(sum(values))
    flips = [abs(sum(s * v for s, v in zip(signs, values, strict=True)))
             for signs in product((1, -1), repeat=len(values))]  # fmt: skip
    return sum(flip >= seen - 1e-9 for flip in flips) / len(flips)


@pytest.mark.parametrize("pairs", [1, 2, 5, 6, 9])
def test_p_is_the_share_of_all_flips(random: np.random.Generator, pairs: int):
    values = random.normal(0.3, 1, pairs)
    assert sign_flip_p(values) == pytest.approx(by_flips(values), abs=1e-12)


@pytest.mark.parametrize(
    "values",
    [[1, 1, 0, -1, 2, 2], [1, 4, -2, 3, 2, -4], [0, 0, 0], [3, 3, 3, 3, 3, 3], [1, -1, 1, -1]],
)
def test_ties_and_zeros_count_as_they_should(values: list[int]):
    whole = np.array(values)
    assert sign_flip_p(whole) == by_flips(whole)
    assert sign_flip_p(whole * 0.1) == by_flips(whole)  # 0.1 is not exact in binary


def test_p_is_that_of_scipys_permutation_test(random: np.random.Generator):
    first, second = random.normal(0.5, 1, (2, 8))
    truth = permutation_test(
        (first, second),
        lambda x, y, axis: (x - y).mean(axis),
        permutation_type="samples",
        n_resamples=10_000,
        vectorized=True,
    )
    assert sign_flip_p(first - second) == pytest.approx(truth.pvalue, abs=1e-12)


def test_studies_are_judged_row_by_row(random: np.random.Generator):
    values = random.normal(0, 1, (4, 3, 7))
    rows = [sign_flip_p(row) for row in values.reshape(12, 7)]
    assert np.array_equal(sign_flip_p(values), np.reshape(rows, (4, 3)))


@pytest.mark.parametrize("level", [0.05, 0.05 / 3, 0.2])
@pytest.mark.parametrize("pairs", [8, 10])
def test_the_interval_holds_what_the_test_does_not_reject(
    random: np.random.Generator, pairs: int, level: float
):
    values = random.standard_t(3, pairs)
    low, high = sign_flip_interval(values, level)
    for inside in np.linspace(float(low), float(high), 12)[1:-1]:
        assert by_flips_moved(values, inside) > level
    for outside in (low - 1e-6, high + 1e-6, low - 1, high + 1):
        assert by_flips_moved(values, float(outside)) <= level


def by_flips_moved(values: np.ndarray, centre: float) -> float:
    moved = values - centre
    signs = np.array(list(product((1, -1), repeat=len(values))))
    return float((np.abs(signs @ moved) >= abs(moved.sum()) - 1e-12).mean())


def test_six_pairs_reach_from_the_least_to_the_greatest_and_five_nowhere(
    random: np.random.Generator,
):
    values = random.normal(0, 1, 6)
    assert sign_flip_interval(values, 0.05) == (values.min(), values.max())
    assert sign_flip_interval(values[:5], 0.05) == (-math.inf, math.inf)
    assert sign_flip_interval(values, 2 / 2**6) == (values.min(), values.max())  # just enough


def test_the_least_p_is_two_of_all_flips():
    assert [least_p(n) for n in (3, 5, 6, 8)] == [0.25, 0.0625, 0.03125, 0.0078125]
    assert sign_flip_p(np.arange(1.0, 9.0)) == least_p(8)


def test_many_pairs_are_judged_by_drawn_signs(random: np.random.Generator):
    values = random.normal(0.35, 1, 18)
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    truth = float((np.abs(sums) >= abs(values.sum())).mean())
    p = sign_flip_p(values)
    assert abs(p - truth) < 5 * math.sqrt(2 * truth / 100_000)
    low, high = sign_flip_interval(values, 0.05)
    assert sign_flip_p(values - low - 1e-9) > 0.05 >= sign_flip_p(values - low + 1e-3)
    student = ttest_1samp(values, 0).confidence_interval()
    assert (float(low), float(high)) == pytest.approx(tuple(student), abs=0.05)


def test_the_estimate_is_the_median_of_walsh_averages(random: np.random.Generator):
    values = random.standard_t(2, 9)
    walsh = [(a + b) / 2 for a, b in combinations_with_replacement(values, 2)]
    assert hodges_lehmann(values) == pytest.approx(np.median(walsh), rel=1e-12)


def test_no_difference_can_be_seen_where_no_verdict_is_possible(random: np.random.Generator):
    assert smallest_difference(random.normal(0, 1, 5), 0.05) == math.inf
    assert smallest_difference(random.normal(0, 1, 6), 0.05 / 2) == math.inf
    assert math.isfinite(smallest_difference(random.normal(0, 1, 6), 0.05))


def test_what_can_be_seen_moves_with_the_scale_and_not_with_the_centre(random: np.random.Generator):
    values = random.normal(0, 1, 8)
    seen = smallest_difference(values, 0.05)
    assert smallest_difference(10 * values + 3, 0.05) == pytest.approx(10 * seen)


@pytest.mark.parametrize(("pairs", "level"), [(6, 0.05), (9, 0.01), (14, 0.05), (40, 0.01)])
def test_another_study_sees_what_one_claims_to_see(
    random: np.random.Generator, pairs: int, level: float
):
    first, second = random.standard_normal((2, 400, pairs))
    moved = second + smallest_difference(first, level)[:, None]
    low = sign_flip_interval(moved, level)[0] if pairs < 17 else _low(moved, level)
    assert (low > 0).mean() > 0.8 - 3 * math.sqrt(0.16 / 400)


@pytest.mark.parametrize(("pairs", "level"), [(6, 0.05), (40, 0.01)])
def test_of_three_kinds_of_noise_the_worst_decides_what_can_be_seen(
    random: np.random.Generator, pairs: int, level: float
):
    shape, found = (8000, pairs), []
    for draw in (
        random.standard_normal,
        partial(random.laplace, 0, 1),
        partial(random.standard_t, 3),
    ):
        moved = draw(shape) + smallest_difference(draw(shape), level)[:, None]
        low = sign_flip_interval(moved, level)[0] if pairs < 17 else _low(moved, level)
        found.append((low > 0).mean())
    assert 0.8 - 3 * math.sqrt(0.16 / 8000) < min(found) < 0.83


def test_no_drawn_set_of_pairs_is_empty():
    """Of 17 pairs two of the 99,999 drawn are; with c = 1 the ends are the extreme means."""
    low, high = sign_flip_interval(np.arange(1.0, 18.0), 2e-5)
    assert 1 <= low < high <= 17


def test_studies_whose_truth_is_known_fail_where_any_share_is_not_as_it_should_be():
    found, allowed = simulate("normal", 8, 1, 400), limits(400, 1)
    assert allowed.hold(found)
    assert allowed.hold(replace(found, power=math.nan))  # too few seeds for any verdict
    for name, wrong in (
        ("coverage", 0.92),
        ("false_verdicts", 0.08),
        ("false_equivalence", 0.05),
        ("power", 0.7),
    ):
        assert not allowed.hold(replace(found, **{name: wrong}))
    assert limits(2000, 3).false_equivalence == pytest.approx(0.0083 + 2 * 0.00203, abs=1e-4)


def _low(values: np.ndarray, level: float) -> np.ndarray:
    return ttest_1samp(values, 0, axis=1).confidence_interval(1 - level).low


def test_seeds_to_see_agree_with_the_normal_sizes_of_the_books():
    # Two-sided 5 %, power 80 %: n = ((1.96 + 0.84)·s/d)² = 7.85 (s/d)², a little more by t.
    assert 786 <= (seeds_to_see(0.1, 1.0, 0.05) or 0) <= 790
    assert 33 <= (seeds_to_see(0.5, 1.0, 0.05) or 0) <= 35
    assert seeds_to_see(10.0, 1.0, 0.05) == 6  # the test itself needs six
    assert seeds_to_see(10.0, 1.0, 0.05 / 6) == 8
    assert seeds_to_see(0.0, 1.0, 0.05) is None
    assert seeds_to_see(0.01, 1.0, 0.05) is None
