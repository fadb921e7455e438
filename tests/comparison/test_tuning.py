"""The best of k trials by counting; the width of good rates; parts of a strategy."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from skipwise.comparison import Ablation, StudyRecord, Trial, compare
from skipwise.comparison.ablation import ablation_of
from skipwise.comparison.pairs import measure
from skipwise.comparison.tables import tuning_sheet
from skipwise.comparison.tuning import expected_best, sensitivity, tuning_curve
from tests.comparison.planted import design, study

SCORES = [0.3, 0.9, 0.5, 0.5, 0.1, 0.7]


@pytest.mark.parametrize("draws", [1, 2, 3, 5, 6])
def test_the_expected_best_is_the_mean_over_all_choices(draws: int):
    truth = np.mean([max(chosen) for chosen in combinations(SCORES, draws)])
    assert expected_best(SCORES, draws) == pytest.approx(truth, rel=1e-12)


def test_the_best_of_k_uniform_ranks_is_the_textbooks():
    count = 19
    for k in range(1, count + 1):  # E[max of k of 1…N] = k(N + 1)/(k + 1)
        ranks = [float(n) for n in range(1, count + 1)]
        assert expected_best(ranks, k) == pytest.approx(k * (count + 1) / (k + 1))


def tuned(scores, rates, **more) -> StudyRecord:
    trials = [
        Trial(arm="resnet20/sgd", settings={"rate": rate}, score=score, seconds=2.0)
        for rate, score in zip(rates, scores, strict=True)
    ]
    return StudyRecord(design=design(["sgd"], **more), trials=tuple(trials))


def test_a_trial_that_diverged_is_the_worst_and_costs_as_much():
    rates = [0.01, 0.03, 0.1, 0.3]
    found = tuning_curve(tuned([0.8, 0.9, 0.7, math.nan], rates), "resnet20/sgd")
    assert found is not None
    assert (found.diverged, found.seconds) == (1, 8.0)
    assert found.expected == pytest.approx([
        expected_best([0.8, 0.9, 0.7, 0.7], k) for k in range(1, 5)
    ])
    assert tuning_curve(tuned([], []), "resnet20/sgd") is None


def test_halved_trials_give_no_curve_but_what_was_tried_and_its_cost():
    record = tuned([0.5, math.nan, 0.8, 0.9], [0.3, 0.1, 0.03, 0.01])
    shares = zip(record.trials, [0.25, 0.25, 1.0, 1.0], strict=True)
    trials = [replace(t, share=share, chosen=t.score == 0.9) for t, share in shares]
    found = compare(replace(record, trials=tuple(trials)))
    assert (found.tuning, found.sensitivity) == ((), ())
    row = dict(zip(tuning_sheet(found).columns, tuning_sheet(found).rows[0], strict=True))
    assert (row["taken"], row["trials"], row["halved away"]) == ("rate 0.01", "4", "1 at 25%")
    assert (row["diverged"], row["cost"], row["time"]) == ("1", "2.5 runs", "8 s")
    assert "tuned by halving" in tuning_sheet(found).caption


def test_where_lower_is_better_the_curve_falls():
    record = tuned([2.0, 1.0, 3.0], [0.1, 0.2, 0.3], lower_is_better=True, percent=False)
    found = tuning_curve(record, "resnet20/sgd")
    assert found is not None
    assert found.expected == pytest.approx([2.0, 4 / 3, 1.0])


def test_the_good_rates_are_an_unbroken_range_around_the_best():
    rates = [0.3, 0.001, 0.01, 0.1, 1.0, 3.0]
    scores = [0.89, 0.89, 0.5, 0.9, 0.87, math.nan]
    found = sensitivity(tuned(scores, rates), "resnet20/sgd")
    assert found is not None
    assert found.rates == (0.001, 0.01, 0.1, 0.3, 1.0, 3.0)
    assert (found.best, found.low, found.high, found.at_edge) == (0.1, 0.1, 1.0, False)
    assert found.decades == pytest.approx(1.0)


def test_the_best_rate_at_the_edge_is_said():
    found = sensitivity(tuned([0.7, 0.8, 0.9], [0.1, 0.2, 0.3]), "resnet20/sgd")
    assert found is not None
    assert found.at_edge
    assert (found.low, found.high) == (0.3, 0.3)
    assert sensitivity(tuned([0.7, 0.8], [0.1, 0.1]), "resnet20/sgd") is None


def test_of_losses_the_good_rates_are_those_of_the_lowest():
    rates, losses = [0.1, 0.2, 0.3, 0.4], [1.04, 1.0, 1.06, 0.99]
    record = tuned(losses[:3], rates[:3], lower_is_better=True, percent=False)
    found = sensitivity(record, "resnet20/sgd")
    assert found is not None
    assert (found.best, found.best_score, found.low, found.high) == (0.2, 1.0, 0.1, 0.2)
    record = tuned(losses, rates, lower_is_better=True, percent=False)
    found = sensitivity(record, "resnet20/sgd")
    assert found is not None
    assert (found.best, found.low, found.at_edge) == (0.4, 0.4, True)


def parts_study() -> StudyRecord:
    """Make a study of two parts with planted gains; decay was not tried alone."""
    random = np.random.default_rng(2)
    plan = Ablation(
        full="resnet20/full",
        none="resnet20/none",
        without={"momentum": "resnet20/a", "decay": "resnet20/b"},
        only={"momentum": "resnet20/c"},
    )
    base = random.normal(0.9, 0.002, 8)
    gains = {"full": 0.03, "none": 0.0, "a": 0.01, "b": 0.029, "c": 0.015}
    scores = {f"resnet20/{n}": base + g + random.normal(0, 0.001, 8) for n, g in gains.items()}
    return study(design([*gains], ablation=plan), scores)


def test_parts_are_left_out_and_added():
    record = parts_study()
    momentum, decay = ablation_of(record)
    assert (momentum.part, decay.part, decay.alone) == ("momentum", "decay", None)
    assert momentum.beside == measure(record, "resnet20/full", "resnet20/a")
    assert momentum.alone == measure(record, "resnet20/c", "resnet20/none")
    assert momentum.beside is not None
    assert momentum.beside.low < 0.02 < momentum.beside.high
    assert compare(record).ablation == (momentum, decay)
    assert ablation_of(study(design(["sgd"]), {})) == []
