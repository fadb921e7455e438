"""Tuning: as many trials for each arm, at the same places, and never with a seed of the study."""

import math
from pathlib import Path

import numpy as np
import pytest

from skipwise.description import from_plain, read_yaml
from skipwise.experiment import Experiment
from skipwise.studies.launchers import DIVERGED, FINISHED, Outcome, leave_mark
from skipwise.studies.plan import Plan, planned
from skipwise.studies.tuning import (
    SEED,
    Tried,
    at_edge,
    proposal,
    rounds,
    space_of,
    winners,
    with_settings,
)
from tests.studies.small import adam, sgd, small_study

SPACE = {"rate": (0.01, 1.0), "decay": (1e-5, 1e-3)}


def tried(settings: dict[str, float], score: float | None) -> Tried:
    return Tried(arm="a", settings=settings, score=score, state="", steps=1, seconds=1.0, folder="")


def plan_of(folder: Path, **fields) -> Plan:
    study, dataset = small_study(folder, sgd(), adam(), trials=3, **fields)
    return planned(study, dataset, folder / "s", threads=1)


def test_the_first_trial_is_what_is_named_and_the_others_are_log_uniform():
    named = {"rate": 0.1, "decay": 1e-4}
    assert proposal("random", SPACE, named, [], higher=True) == named
    history, places = [tried(named, 0.5)], []
    for _ in range(400):
        settings = proposal("random", SPACE, named, history, higher=True)
        places.append([math.log(settings[n] / low, high / low) for n, (low, high) in SPACE.items()])
        history.append(tried(settings, 0.5))
    found = np.array(places)
    assert found.min() >= 0
    assert found.max() <= 1
    # Mean and variance of a uniform place, within five standard errors.
    assert np.abs(found.mean(0) - 0.5).max() < 5 * math.sqrt(1 / 12 / 400)
    assert np.abs(found.var(0) - 1 / 12).max() < 5 * math.sqrt(1 / 180 / 400)
    assert abs(np.corrcoef(found.T)[0, 1]) < 5 / math.sqrt(400)


def test_optuna_is_a_function_of_what_was_tried_and_finds_the_better_end():
    named = {"rate": 0.1, "decay": 1e-4}
    history = [tried(named, -1.0)]
    for _ in range(12):
        settings = proposal("optuna", SPACE, named, history, higher=True)
        assert settings == proposal("optuna", SPACE, named, history, higher=True)
        history.append(tried(settings, -abs(math.log10(settings["rate"] / 0.5))))
    assert len({trial.settings["rate"] for trial in history}) == len(history)
    late = [abs(math.log10(t.settings["rate"] / 0.5)) for t in history[-4:]]
    early = [abs(math.log10(t.settings["rate"] / 0.5)) for t in history[:5]]
    assert np.mean(late) < np.mean(early)


def test_a_decay_of_zero_stays_zero_and_what_varies_is_not_tuned(tmp_path: Path):
    arms = {arm.name: arm for arm in plan_of(tmp_path).arms}
    assert space_of(arms["sgd"]) == {"rate": (0.05, 5.0), "decay": (5e-5, 5e-3)}
    assert set(space_of(arms["adam"])) == {"rate"}
    varied = plan_of(tmp_path, vary={"strategy.peak_lr": (0.1, 0.2)}).arms
    assert set(space_of(varied[0])) == {"decay"}
    with pytest.raises(ValueError, match=r"nothing of adam .* is left to tune"):
        space_of(varied[2])


def test_every_arm_has_its_trials_with_a_seed_of_their_own(tmp_path: Path):
    plan = plan_of(tmp_path)
    found: dict[str, list[Tried]] = {}
    given = rounds(plan, found)
    tasks = next(given)
    assert [task.arm for task in tasks] == ["sgd"] * 3 + ["adam"] * 3
    assert {task.seed for task in tasks} == {SEED}
    assert SEED not in plan.seeds
    assert all(task.is_trial for task in tasks)
    experiments = [from_plain(read_yaml(task.experiment, "")) for task in tasks]
    assert all(isinstance(e, Experiment) for e in experiments)
    factors = [
        e.strategy.peak_lr / named
        for e, named in zip(experiments, [0.5] * 3 + [1e-3] * 3, strict=True)
    ]
    np.testing.assert_allclose(factors[:3], factors[3:])  # the same places for every arm
    for number, task in enumerate(tasks):
        Path(task.folder).mkdir(parents=True)
        state, score = (
            (DIVERGED, None) if number == 1 else (FINISHED, [0.5, 0, 0.7, 0.6, 0.4, 0.3][number])
        )
        leave_mark(Path(task.folder), Outcome(state=state, score=score, steps=6, seconds=0.5))
    assert list(given) == []
    best = winners(plan, found)
    assert best["sgd"].settings == found["sgd"][2].settings
    assert best["adam"].settings == {"rate": 1e-3}
    arm = with_settings(plan.arms[0], best["sgd"].settings)
    assert arm.experiment.strategy.peak_lr == experiments[2].strategy.peak_lr
    assert arm.experiment.strategy.weight_decay == experiments[2].strategy.weight_decay


def test_a_winner_near_an_end_is_at_the_edge():
    assert at_edge(SPACE, {"rate": 0.7, "decay": 1e-4}) == ("rate",)
    assert at_edge(SPACE, {"rate": 0.5, "decay": 1.3e-5}) == ("decay",)
    assert at_edge(SPACE, {"rate": 0.1, "decay": 1e-4}) == ()
