"""Verdicts of studies whose answer is known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from skipwise.comparison import Arm, Design, StudyRecord, compare
from skipwise.comparison.pairs import judge, measure, others
from skipwise.comparison.tables import pairs_sheet
from tests.comparison.planted import design, study, two, whole

BASE = np.array([0.900, 0.905, 0.898, 0.902, 0.907, 0.899, 0.903, 0.901])
GAPS = np.array([0.008, 0.005, 0.011, 0.009, 0.006, 0.010, 0.007, 0.008])


def only(record: StudyRecord):
    (pair,) = judge(record)
    return pair


def test_a_planted_difference_is_found_and_measured():
    pair = only(two(BASE + GAPS, BASE))
    assert pair.verdict == "better"
    assert pair.p == pair.holm_p == 2 / 2**8  # all eight differ in one direction
    assert pair.advantage == pytest.approx(0.008)
    assert pair.mean == pytest.approx(0.008)
    assert 0.005 < pair.low < 0.008 < pair.high < 0.011
    assert pair.probability == 1.0
    assert pair.correlation == pytest.approx(np.corrcoef(BASE + GAPS, BASE)[0, 1])
    assert pair.further_seeds is None


def test_two_pairs_have_no_correlation():
    assert math.isnan(only(two(np.array([0.1, 0.3]), np.array([0.2, 0.5]))).correlation)
    three = np.array([0.1, 0.3, 0.2]), np.array([0.2, 0.5, 0.6])
    assert only(two(*three)).correlation == pytest.approx(np.corrcoef(*three)[0, 1])


def test_the_other_way_round_it_is_worse():
    pair = only(two(BASE, BASE + GAPS))
    assert (pair.verdict, pair.probability) == ("worse", 0.0)
    assert pair.advantage == pytest.approx(-0.008)


def test_of_losses_the_lower_is_better():
    up = only(two(BASE + GAPS, BASE))
    down = only(two(-BASE - GAPS, -BASE, lower_is_better=True))
    assert vars(replace(down, worst=-down.worst)) == pytest.approx(vars(up))


def test_noise_is_inconclusive_and_says_how_many_seeds_more():
    noise = np.array([0.004, -0.003, 0.006, -0.001, 0.003, -0.004, 0.005, -0.002])
    pair = only(two(BASE + noise, BASE))
    assert (pair.verdict, pair.pairs) == ("inconclusive", 8)
    assert pair.low < 0 < pair.high
    spread = noise.std(ddof=1)
    needed = (2.802 * spread / noise.mean()) ** 2  # by the normal distribution
    assert pair.further_seeds == pytest.approx(needed - 8, abs=3)
    assert pair.smallest_seen > spread


def test_no_more_than_the_margin_is_equivalent():
    noise = np.array([0.0004, -0.0003, 0.0006, -0.0001, 0.0003, -0.0004, 0.0005, -0.0002])
    assert only(two(BASE + noise, BASE, margin=0.002)).verdict == "equivalent"
    assert only(two(BASE + noise, BASE, margin=0.0002)).verdict == "inconclusive"
    assert only(two(BASE + noise, BASE)).verdict == "inconclusive"


@pytest.mark.parametrize("sign", [1, -1])
def test_an_interval_that_leaves_the_margin_on_one_side_is_not_equivalent(sign: int):
    lower = np.array([-0.004, 0.001, -0.004, 0.001, -0.004, 0.001, -0.003, 0.0005])
    pair = only(two(BASE + sign * lower, BASE, margin=0.002))
    near, far = sorted((-pair.family_low, pair.family_high))
    assert near < 0.002 < far
    assert pair.verdict == "inconclusive"


def test_the_nearer_verdict_counts_the_seeds_that_are_missing():
    noise = np.array([0.004, -0.003, 0.006, -0.001, 0.003, -0.004, 0.005, -0.002])
    pair = only(two(BASE + noise, BASE, margin=0.003))  # the mean is 0.001
    needed = (2.802 * noise.std(ddof=1) / (0.003 - noise.mean())) ** 2
    assert pair.further_seeds == pytest.approx(needed - 8, abs=3)


def test_equivalence_takes_the_interval_of_the_whole_family():
    names = ["sgd", "momentum", "adam", "adamw"]
    noise = np.array([0.0004, -0.0003, 0.0006, -0.0001, 0.0003, -0.0004, 0.0005, -0.0002])
    family = tuple((f"resnet20/{name}", "resnet20/sgd") for name in names[1:])
    scores = {f"resnet20/{name}": BASE + n * noise for n, name in enumerate(names)}
    alone = only(two(BASE + noise, BASE))
    margin = 1.001 * max(alone.high, -alone.low)
    first = judge(study(design(names, family=family, margin=margin), scores))[0]
    assert (first.low, first.high) == (alone.low, alone.high)
    assert first.family_high > first.high
    assert first.verdict == "inconclusive"
    assert only(two(BASE + noise, BASE, margin=margin)).verdict == "equivalent"


def test_holm_works_over_the_family():
    names = ["sgd", "momentum", "adam", "adamw"]
    family = tuple((f"resnet20/{name}", "resnet20/sgd") for name in names[1:])
    mixed = GAPS * np.array([1, 1, 1, 1, 1, 1, -0.4, 1])
    scores = {
        "resnet20/sgd": BASE,
        "resnet20/momentum": BASE + GAPS,
        "resnet20/adam": BASE + mixed,
        "resnet20/adamw": BASE - GAPS[::-1] * np.array([1, -1] * 4),
    }
    pairs = judge(study(design(names, family=family), scores))
    p = [pair.p for pair in pairs]
    assert p[:2] == [2 / 256, 4 / 256]  # all in one direction; all but the least, which flips back
    assert [pair.holm_p for pair in pairs] == [3 * p[0], 2 * p[1], p[2]]
    assert [pair.verdict for pair in pairs] == ["better", "better", "inconclusive"]


def test_five_seeds_reach_no_verdict():
    pair = only(two(BASE[:5] + GAPS[:5], BASE[:5], seeds=range(5)))
    assert (pair.verdict, pair.p) == ("inconclusive", 0.0625)
    assert (pair.low, pair.high, pair.smallest_seen) == (-math.inf, math.inf, math.inf)
    assert pair.further_seeds == 1


def test_a_study_that_goes_on_gives_no_verdict():
    pair = only(two(BASE[:7] + GAPS[:7], BASE))
    assert (pair.verdict, pair.pairs, pair.missing) == ("unfinished", 7, 1)
    ended = np.array([*BASE[:7] + GAPS[:7], math.nan])
    pair = only(two(ended, BASE[:7]))  # whose eighth partner may reach as little
    assert (pair.verdict, pair.pairs, pair.missing) == ("unfinished", 7, 1)
    assert pair.first_diverged == 0


def test_a_run_that_diverged_counts_as_worst():
    broken = BASE + GAPS
    broken[3] = math.nan
    pair = only(two(broken, BASE))
    assert (pair.first_diverged, pair.second_diverged, pair.pairs) == (1, 0, 8)
    assert pair.verdict == "inconclusive"  # seven small gains do not outweigh a failure
    scores = np.concatenate([np.delete(broken, 3), BASE])
    worst = scores.min() - np.ptp(scores)
    assert pair.mean == pytest.approx((np.delete(GAPS, 3).sum() + worst - BASE[3]) / 8)


def test_an_arm_that_always_diverges_is_worse():
    always = np.full(8, math.nan)
    pair = only(two(always, BASE))
    assert (pair.verdict, pair.p) == ("worse", 2 / 256)
    both = only(two(always, always))
    assert (both.verdict, both.p, both.mean) == ("inconclusive", 1.0, 0.0)


def test_a_diverged_run_scores_what_the_design_says():
    broken = BASE.copy()
    broken[0] = math.nan
    pair = only(two(broken, BASE, worst=0.1))
    assert pair.mean == pytest.approx((0.1 - BASE[0]) / 8)
    high = only(two(broken, BASE, worst=0.99))  # but never better than the worst that ended
    assert high.mean == pytest.approx((BASE.min() - BASE[0]) / 8)


def test_the_worst_score_does_not_depend_on_which_arm_is_which():
    random = np.random.default_rng(5)
    values = random.normal(0.9, 0.01, (2, 6))
    values[0, 2] = math.nan
    flips = random.integers(0, 2, (20, 6)).astype(bool)
    sizes = set()
    for flip in flips:
        first, second = np.where(flip, values[::-1], values)
        pair = measure(two(first, second, seeds=range(6)), "resnet20/momentum", "resnet20/sgd")
        sizes.add(round(pair.mean**2 + pair.deviation**2 * 5 / 6, 12))  # the mean square
    assert len(sizes) == 1


def test_all_other_pairs_get_intervals_and_no_verdict_those_that_share_something_first():
    found = others(whole())
    named = [frozenset((pair.first, pair.second)) for pair in found]
    assert frozenset(("resnet20/adam", "resnet20/momentum")) in named[:5]
    assert frozenset(("resnet20/adam", "plain20/adam")) in named[:5]
    assert frozenset(("resnet20/adam", "plain20/sgd")) in named[5:]
    assert frozenset(("resnet20/adam", "resnet20/sgd")) not in named  # of the family
    assert len(named) == len(set(named)) == 6 * 5 / 2 - 4
    assert {pair.verdict for pair in found} == {"none"}
    assert all(math.isfinite(pair.low) for pair in found)


def test_the_table_of_other_pairs_shows_those_that_share_something_and_counts_the_rest():
    sheet = pairs_sheet(compare(whole()), family=False)
    assert len(sheet.rows) == 5
    assert "the 6 that share neither network nor method are in CSV and JSON" in sheet.caption


def test_a_whole_study_finds_what_was_planted():
    found = compare(whole())
    verdicts = {pair.first: pair.verdict for pair in found.pairs}
    assert verdicts == {
        "plain20/momentum": "better",
        "plain20/adam": "inconclusive",
        "resnet20/momentum": "better",
        "resnet20/adam": "inconclusive",
    }
    assert [arm.arm for arm in found.arms][0::3] == ["plain20/momentum", "resnet20/momentum"]
    by_name = {pair.first: pair for pair in found.pairs}
    assert by_name["resnet20/momentum"].low < 0.02 < by_name["resnet20/momentum"].high


def test_a_study_without_a_run_is_compared_too():
    found = compare(two([], []))
    assert found.pairs[0].verdict == "unfinished"
    assert all(arm.runs == 0 and math.isnan(arm.mean) for arm in found.arms)
    single = Design(
        data="d", metric="loss", arms=(Arm(name="a", network="n", strategy="s"),), seeds=(0,)
    )
    assert compare(StudyRecord(design=single)).pairs == ()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_runs_that_failed_in_both_networks_are_no_difference(sign: float):
    plain, residual = np.linspace(0.5, 0.6, 8), np.linspace(0.1, 0.2, 8)
    plan = design(
        ["sgd", "adam"],
        networks=("plain20", "resnet20"),
        family=(("resnet20/sgd", "plain20/sgd"),),
        lower_is_better=sign > 0,
    )
    gone = [math.nan] * 8
    scores = {"plain20/sgd": gone, "resnet20/sgd": gone}
    scores |= {"plain20/adam": sign * plain, "resnet20/adam": sign * residual}
    pair = only(study(plan, scores))
    assert (pair.p, pair.mean, pair.verdict) == (1.0, 0.0, "inconclusive")


def test_a_pair_that_is_not_complete_does_not_help_another():
    plan = design(
        ["sgd", "momentum", "adam"],
        family=(("resnet20/momentum", "resnet20/sgd"), ("resnet20/adam", "resnet20/sgd")),
    )
    flips = np.array([1, 1, 1, 1, 1, 1, -0.02, -0.02])  # p = 8/256
    scores = {"resnet20/sgd": BASE, "resnet20/momentum": BASE + GAPS * flips}
    found = judge(study(plan, {**scores, "resnet20/adam": (BASE + GAPS)[:7]}))
    assert found[1].p == pytest.approx(2 / 128)  # less, so it would stand first
    assert found[0].p == pytest.approx(8 / 256)
    assert found[0].holm_p == pytest.approx(2 * 8 / 256)
