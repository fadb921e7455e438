"""Times to the target, with misses; profiles by hand; the sign test against scipy."""

import math
from collections.abc import Sequence
from functools import partial

import pytest
from scipy.integrate import quad
from scipy.stats import binomtest

from skipwise.comparison import ArmRun, StudyRecord, compare
from skipwise.comparison.times import arm_time, pair_time, profiles, sign_test
from tests.comparison.planted import design

INF = math.inf


def timed(times: dict[str, Sequence[float]], networks: Sequence[str] = ("resnet20",)):
    strategies = list(dict.fromkeys(name.split("/")[1] for name in times))
    plan = design(strategies, networks=networks, target=0.9)
    runs = [
        ArmRun(arm=arm, seed=seed, score=0.9, steps_to_target=steps)
        for arm, values in times.items()
        for seed, steps in enumerate(values)
    ]
    return StudyRecord(design=plan, runs=tuple(runs))


@pytest.mark.parametrize(
    ("times", "quartiles"),
    [
        ([5, 1, 3, 2, 4, 6, 8, 7], (2, 5, 6)),
        ([5, 1, INF, 2, 4, INF, 8, 7], (2, 7, 8)),
        ([1, 2, INF, INF], (1, INF, INF)),
        ([3], (3, 3, 3)),
    ],
)
def test_medians_and_quartiles_are_times_of_runs(times, quartiles):
    found = arm_time(timed({"resnet20/sgd": times}), "resnet20/sgd", "steps")
    assert (found.lower_quartile, found.median, found.upper_quartile) == quartiles
    assert (found.runs, found.misses) == (len(times), times.count(INF))


def test_a_run_that_diverged_after_the_target_missed_it():
    plan = design(["sgd"], target=0.9)
    run = ArmRun(arm="resnet20/sgd", seed=0, score=0.9, steps_to_target=5.0, diverged=True)
    assert arm_time(StudyRecord(design=plan, runs=(run,)), "resnet20/sgd", "steps").misses == 1


@pytest.mark.parametrize(("earlier", "later"), [(8, 0), (6, 2), (3, 3), (1, 4), (0, 0)])
def test_signs_are_tossed_coins(earlier: int, later: int):
    count = earlier + later
    truth = binomtest(earlier, count).pvalue if count else 1.0
    assert sign_test(earlier, later) == pytest.approx(truth)


def test_pairs_that_both_missed_do_not_count():
    record = timed({
        "resnet20/adam": [1, 2, 3, INF, INF, 4],
        "resnet20/sgd": [2, 4, 3, 9, INF, INF],
    })
    found = pair_time(record, "resnet20/adam", "resnet20/sgd", "steps")
    assert (found.earlier, found.level, found.later) == (3, 2, 1)
    assert found.p == pytest.approx(binomtest(3, 4).pvalue)
    assert math.isnan(found.ratio)  # some are not known


def test_the_ratio_is_the_median_over_pairs():
    record = timed({"resnet20/adam": [1, 2, 9], "resnet20/sgd": [2, 8, 9]})
    assert pair_time(record, "resnet20/adam", "resnet20/sgd", "steps").ratio == 0.5


def test_profiles_by_hand():
    # Medians a: 10, 30, miss; b: 20, 20, 50; c misses all. Best: 10, 20, 50.
    times = {
        "w1/a": [10], "w2/a": [30], "w3/a": [INF],
        "w1/b": [20], "w2/b": [20], "w3/b": [50],
        "w1/c": [INF], "w2/c": [INF], "w3/c": [INF],
    }  # fmt: skip
    a, b, c = profiles(timed(times, ("w1", "w2", "w3")), "steps")
    assert (a.ratios, a.shares) == ((1.0, 1.5), (1 / 3, 2 / 3))
    assert (b.ratios, b.shares) == ((1.0, 1.0, 2.0), (1 / 3, 2 / 3, 1.0))
    assert (c.ratios, c.shares, c.score) == ((), (), 0.0)
    for score, ratios in ((a.score, (1.0, 1.5)), (b.score, (1.0, 1.0, 2.0))):
        share = partial(share_within, ratios)
        assert score == pytest.approx(quad(share, 1, 4, points=[1.5, 2])[0] / 3, rel=1e-6)


def test_a_method_that_is_not_on_every_network_has_no_profile():
    times: dict[str, Sequence[float]] = {"w1/a": [10], "w2/a": [30], "w1/b": [20]}
    (a,) = profiles(timed(times, ("w1", "w2")), "steps")
    assert (a.method, a.ratios, a.shares) == ("a", (1.0, 1.0), (0.5, 1.0))


def test_a_kind_that_is_not_known_of_a_run_at_the_target_is_left_out():
    plan = design(["sgd"], target=0.9)
    there = partial(
        ArmRun, arm="resnet20/sgd", score=0.9, steps_to_target=5.0, seconds_to_target=1.0
    )
    runs = [there(seed=0, macs_to_target=1e6), ArmRun(arm="resnet20/sgd", seed=1, score=0.5)]
    missed = compare(StudyRecord(design=plan, runs=tuple(runs)))
    assert {time.kind for time in missed.times} == {"steps", "seconds", "macs"}
    runs += [there(seed=3, diverged=True)]  # after the target, so that it missed it
    later = compare(StudyRecord(design=plan, runs=tuple(runs)))
    assert {time.kind for time in later.times} == {"steps", "seconds", "macs"}
    runs += [there(seed=2)]
    unknown = compare(StudyRecord(design=plan, runs=tuple(runs)))
    assert {time.kind for time in unknown.times} == {"steps", "seconds"}


def share_within(ratios: Sequence[float], most: float) -> float:
    return sum(ratio <= most for ratio in ratios) / 3


def test_a_workload_nobody_solved_counts_for_nobody():
    times = {"w1/a": [10], "w2/a": [INF], "w1/b": [20], "w2/b": [INF]}
    a, b = profiles(timed(times, ("w1", "w2")), "steps")
    assert a.shares == (0.5,)
    assert a.score == pytest.approx(0.5)
    assert b.score == pytest.approx(0.5 * 2 / 3)
