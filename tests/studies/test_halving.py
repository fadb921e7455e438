"""Halving picks what a slow reference picks; a trial that paused ends like one that never did."""

import dataclasses
import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skipwise.records import EvaluationRecord, StepRecord, read_journal
from skipwise.strategies import Strategy
from skipwise.studies import carry_on
from skipwise.studies.halving import lengths, shares, sizes
from skipwise.studies.launchers import DIVERGED, FINISHED, STOPPED, Outcome, leave_mark, mark_of
from skipwise.studies.plan import Plan, opened, planned
from skipwise.studies.tuning import Tried, cost_in_lengths, in_words, rounds, winners
from skipwise.studies.working import carry_out
from skipwise.training import newest_checkpoint
from tests.studies.small import adam, sgd, small_study


def plan_of(folder: Path, *strategies: Strategy, trials: int, **fields: Any) -> Plan:
    study, dataset = small_study(
        folder, *(strategies or (sgd(), adam())), trials=trials, halving=True, **fields
    )
    return opened(planned(study, dataset, folder / "s", threads=1))


def slowly_halved(curves: np.ndarray) -> tuple[list[list[int]], int | None]:
    """Give who takes part in each rung, and who wins: one removal of the worst at a time.

    Args:
        curves: Scores (trial, rung), high is good; NaN has diverged and stays so.
    """
    alive, parts = list(range(len(curves))), []
    wanted, last = len(curves), {}
    for rung in range(curves.shape[1]):
        parts.append(list(alive))
        last |= {n: rung for n in alive}
        alive = [n for n in alive if not math.isnan(curves[n, rung])]
        wanted = (wanted + 1) // 2
        while len(alive) > wanted:
            worst = alive[0]
            for n in alive:
                if curves[n, rung] <= curves[worst, rung]:
                    worst = n
            alive.remove(worst)
    # Of those whose last score is one, the first of the best in the latest rung there is.
    best: int | None = None
    for n, rung in last.items():
        if math.isnan(curves[n, rung]):
            continue
        if best is None or (rung, curves[n, rung]) > (last[best], curves[best, last[best]]):
            best = n
    return parts, best


@pytest.mark.parametrize("trials", [3, 5, 8, 11])
@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("late", [False, True], ids=["", "finalists-diverge"])
def test_the_choice_is_that_of_a_slow_reference(
    tmp_path: Path, trials: int, higher: bool, late: bool
):
    random = np.random.default_rng(trials)
    plan = dataclasses.replace(plan_of(tmp_path, trials=trials), higher=higher)
    sign = 1 if higher else -1
    # Few values, so that there are ties; the two arms have scores of different height.
    curves = {
        arm.name: random.integers(0, 6, (trials, len(sizes(trials)))) / 4 + 10 * n
        for n, arm in enumerate(plan.arms)
    }
    for curve in curves.values():
        for trial in random.choice(trials, trials // 3, replace=False):
            curve[trial, random.integers(curve.shape[1]) :] = math.nan
        if late:
            curve[:, -1] = math.nan
    found: dict[str, list[Tried]] = {}
    asked: list[dict[str, list[int]]] = []
    for rung, tasks in enumerate(rounds(plan, found)):
        places = {trial.folder: n for name in found for n, trial in enumerate(found[name])}
        asked.append({arm.name: [] for arm in plan.arms})
        for task in tasks:
            number = places[task.folder]
            asked[-1][task.arm].append(number)
            score = sign * curves[task.arm][number, rung]
            folder = Path(task.folder)
            folder.mkdir(parents=True, exist_ok=True)
            if math.isnan(score):
                leave_mark(folder, Outcome(state=DIVERGED))
            else:
                leave_mark(folder, Outcome(state=FINISHED, score=score), task.until)
    for arm in plan.arms:
        parts, winner = slowly_halved(curves[arm.name])
        assert [rung[arm.name] for rung in asked] == parts
        alone = dataclasses.replace(plan, arms=(arm,))
        if winner is None:
            with pytest.raises(ValueError, match=r"no trial of .* ended with a score: diverged"):
                winners(alone, found)
        else:
            best = winners(alone, found)[arm.name].settings
            assert best == found[arm.name][winner].settings


def test_every_rung_costs_the_same_and_the_last_reaches_the_whole_length():
    for trials in range(3, 40):
        parts = np.diff([0.0, *shares(trials)])
        np.testing.assert_allclose(parts * sizes(trials), lengths(trials) / len(parts))
        assert shares(trials)[-1] == 1
        assert len(parts) == math.ceil(math.log2(trials))


def test_a_trial_that_paused_ends_like_one_that_never_did_and_takes_no_step_twice(tmp_path: Path):
    plan = plan_of(tmp_path, trials=4, steps=13)
    found: dict[str, list[Tried]] = {}
    last = []
    for tasks in rounds(plan, found):
        outcomes = [carry_out(task) for task in tasks]
        assert all(counts_only_what_the_journal_has(task.folder) for task in tasks)
        assert {outcome.state for outcome in outcomes} == {FINISHED}
        assert {outcome.steps for outcome in outcomes} == {math.ceil(tasks[0].until * 13)}
        last = tasks
    assert [sum(t.steps for t in found[arm.name]) for arm in plan.arms] == [2 * 13 + 2 * 5] * 2
    straight = dataclasses.replace(last[0], folder=str(tmp_path / "straight"))
    outcome, halved = carry_out(straight), mark_of(Path(last[0].folder))
    assert halved is not None
    assert (outcome.score, outcome.steps) == (halved.score, halved.steps)
    one, other = (Path(task.folder) / "best.safetensors" for task in (straight, last[0]))
    assert one.read_bytes() == other.read_bytes()
    assert losses(straight.folder) == losses(last[0].folder)
    assert [step for step, _ in losses(last[0].folder)] == list(range(1, 14))


def counts_only_what_the_journal_has(folder: str) -> bool:
    """Whether the measurement at a pause left the choice of the best weights alone."""
    state, _ = newest_checkpoint(Path(folder))
    assert state is not None
    events = read_journal(Path(folder) / "metrics.jsonl")
    steps = [event.step for event in events if isinstance(event, EvaluationRecord)]
    best = state["best"]
    return best["step"] in steps and best["since"] == sum(step > best["step"] for step in steps)


def losses(folder: str) -> list[tuple[int, float]]:
    events = read_journal(Path(folder) / "metrics.jsonl")
    return [(e.step, e.loss) for e in events if isinstance(e, StepRecord)]


def test_a_trial_killed_before_its_mark_or_in_the_middle_pauses_at_the_same_score(tmp_path: Path):
    plan = plan_of(tmp_path, trials=4, steps=25)
    task = next(rounds(plan, {}))[0]
    whole = carry_out(task)
    (mark,) = Path(task.folder).glob("outcome-at-*.json")
    mark.unlink()  # as a kill does between the save and the mark
    again = carry_out(task)
    assert (again.score, again.steps) == (whole.score, whole.steps)
    other = dataclasses.replace(task, folder=str(tmp_path / "other"))

    def stop(**told: Any) -> None:
        if told["step"] >= 4:
            os.kill(os.getpid(), signal.SIGTERM)

    assert carry_out(other, tell=stop).state == STOPPED
    assert 0 < losses(other.folder)[-1][0] < 9
    again = carry_out(other)
    assert (again.score, again.steps) == (whole.score, whole.steps)
    assert whole.steps == 9  # a third of 25, upwards


def test_an_interrupted_halving_goes_on_to_the_same_choice(tmp_path: Path):
    chosen = []
    for name, cuts in (("whole", ()), ("cut", (1, 3, 6, 9))):
        (tmp_path / name).mkdir()
        plan = plan_of(tmp_path / name, trials=5)
        done, found = 0, {}
        for cut in (*cuts, math.inf):
            found = {}
            for task in (task for tasks in rounds(plan, found) for task in tasks):
                if mark_of(Path(task.folder), task.until) is None:
                    if done >= cut:
                        break
                    carry_out(task)
                    done += 1
        assert done == 2 * (5 + 3 + 2)
        chosen.append((
            {arm: best.settings for arm, best in winners(plan, found).items()},
            {arm: [(t.score, t.steps, t.until) for t in found[arm]] for arm in found},
        ))
    assert chosen[0] == chosen[1]


def test_a_study_is_halved_charged_and_says_so(tmp_path: Path):
    study, dataset = small_study(tmp_path, sgd(), adam(), trials=4, halving=True, seeds=1)
    shown = carry_on(study, dataset, tmp_path / "s", quiet=True, report=False)
    found = json.loads((tmp_path / "s" / "tuning.json").read_text())
    for arm in found.values():
        assert sorted(trial["until"] for trial in arm["trials"])[2:] == [1.0, 1.0]
        assert sorted(trial["steps"] for trial in arm["trials"]) == [2, 2, 6, 6]
    assert shown.comparison.tuning == ()  # no best of k from scores at different lengths
    assert shown.comparison.sensitivity == ()
    assert "at 33% of their length" in shown.comparison.design.facts["halving"]
    plan = planned(study, dataset, tmp_path / "s", threads=1)
    tried: dict[str, list[Tried]] = {}
    assert len(list(rounds(plan, tried))) == 2
    words = in_words(plan, tried, winners(plan, tried))
    assert "of 4 trials, halved at 33% of their length" in words
    assert "tuning cost 32 steps" in words
    assert cost_in_lengths(plan) == pytest.approx(2 / (1 / 4 + 1 / 2))
