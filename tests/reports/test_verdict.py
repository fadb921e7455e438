"""The verdict says what the numbers say: planted stories and their healthy twins."""

import dataclasses
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from skipwise.reports import compare_to, read_run
from skipwise.reports.verdict import headline, interval, mean_loss, verdict
from tests.reports.runs import a_step, judged, told

LEVEL = [0.5, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]
RISING = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
FALLS = [2.0, 1.5, 1.0, 0.8, 0.7, 0.6, 0.5, 0.4]
TURNS = [2.0, 1.0, 0.5, 0.4, 0.5, 0.6, 0.7, 0.8]
STAYS = [1.0] * 8


def said(folder: Path) -> str:
    return " ".join(verdict(read_run(folder)))


def test_a_finished_run_says_its_score_and_how_sure_it_is(tmp_path: Path):
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS)
    assert headline(read_run(run)) == "accuracy 90 % on the test part"
    assert "900 of 1,000 examples of the test part were classified rightly: 90 %" in said(run)
    assert "between 88 % and 91.7 % with 95 % confidence" in said(run)
    assert "Always saying 'flint' would be right in 70 %." in said(run)


def test_a_score_no_better_than_guessing_is_called_so(tmp_path: Path):
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS, test=0.71)
    assert "The network is not surely better than that." in said(run)


def test_a_rise_that_chance_does_not_explain_is_improvement(tmp_path: Path):
    assert "still improving" in said(told(tmp_path / "rising", RISING, FALLS, FALLS))
    assert "levelled off" in said(told(tmp_path / "level", LEVEL, FALLS, FALLS))
    small = [*LEVEL[:-1], 0.91]
    assert "is not sure" in said(told(tmp_path / "small", small, FALLS, FALLS))


def test_over_fitting_needs_both_losses_to_part(tmp_path: Path):
    found = said(told(tmp_path / "apart", LEVEL, TURNS, FALLS))
    assert "It over-fitted: since step 40 the validation loss rose from 0.4 to 0.8" in found
    assert "over-fitted" not in said(told(tmp_path / "stays", LEVEL, TURNS, STAYS))
    assert "over-fitted" not in said(told(tmp_path / "falls", LEVEL, FALLS, FALLS))


def test_a_loss_that_falls_was_still_improving_and_one_that_rises_was_not(tmp_path: Path):
    falls = judged(told(tmp_path / "falls", LEVEL, FALLS, FALLS), "loss", FALLS, 0.3)
    assert "still improving: in the last 2 evaluations the best loss went from 0.6 to 0.4" in said(
        falls
    )
    rises = judged(told(tmp_path / "rises", LEVEL, TURNS, STAYS), "loss", TURNS, 0.3)
    assert "levelled off: in the last 2 evaluations the best loss went from 0.4 to 0.7" in said(
        rises
    )


def test_a_step_that_was_skipped_is_no_part_of_a_mean_loss():
    steps = [a_step(n, loss) for n, loss in ((1, 9.0), (2, 2.0), (3, math.inf), (4, 4.0), (5, 9.0))]
    steps[2] = dataclasses.replace(steps[2], skipped=True)
    assert mean_loss(steps, 1, 4) == 3.0  # of steps 2 and 4
    assert math.isnan(mean_loss(steps, 2, 3))


def test_training_is_compared_over_the_last_stretch_example_by_example(tmp_path: Path):
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        if line["event"] == "step" and line["step"] > 70:
            line |= {"accuracy": 0.5, "examples": 20} if line["step"] == 80 else {"accuracy": 1.0}
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    right = (9 * 80 * 1.0 + 20 * 0.5) / (9 * 80 + 20)
    assert f"In the last 10 steps {100 * right:.1f} % of the training examples" in said(run)


def test_the_interval_of_a_loss_is_that_of_a_mean_over_examples(tmp_path: Path):
    run = judged(told(tmp_path / "run", LEVEL, FALLS, FALLS), "loss", FALLS, 0.3)
    evidence = json.loads((run / "evidence.json").read_text())
    evidence["parts"]["test"]["loss_deviation"] = 2.0
    (run / "evidence.json").write_text(json.dumps(evidence))
    reading = read_run(run)
    assert reading.test is not None
    truth = norm.interval(0.95, loc=0.3, scale=2.0 / np.sqrt(1000))
    assert interval(reading, reading.test) == pytest.approx(truth, rel=1e-6)
    assert f"lies between {truth[0]:.4g} and {truth[1]:.4g} with 95 % confidence" in said(run)


def test_a_jump_that_the_loss_comes_down_from_is_no_over_fitting(tmp_path: Path):
    jumps = [*TURNS[:4], 3.7, 3.0, 2.0, 1.5, 1.2, 1.1][: len(TURNS)]
    assert min(jumps) == TURNS[3]
    assert "over-fitted" not in said(told(tmp_path / "jumps", LEVEL, jumps, FALLS))


def test_few_evaluations_say_nothing_of_a_trend(tmp_path: Path):
    found = said(told(tmp_path / "run", RISING[:3], FALLS[:3], FALLS[:3]))
    assert "With 3 evaluations nobody can say" in found
    assert "Validation" not in found


@pytest.mark.parametrize(
    ("state", "line", "sentence", "test"),
    [
        (
            "running",
            "not finished: at step 80 of 100",
            "still going, or was killed",
            "the test part comes at the end",
        ),
        (
            "the loss is nan at step 80: training diverged; lower strategy.peak_lr",
            "diverged at step 80 of 100",
            "did not reach its end: the loss is nan",
            "run scores its best weights on the test part",
        ),
        (
            "paused at step 80 of 100",
            "paused at step 80 of 100",
            "did not reach its end: paused at step 80 of 100. skipwise resume",
            "the test part comes at the end",
        ),
        (
            "stopped by SIGINT; saved",
            "stopped at step 80 of 100",
            "skipwise resume",
            "the test part comes at the end",
        ),
    ],
)
def test_a_run_that_is_not_at_its_end_says_so(tmp_path: Path, state, line, sentence, test):
    facts = {"steps": 100, "examples": {"train": 800, "validation": 100, "test": 100}}
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS, state=state, test=None, facts=facts)
    assert headline(read_run(run)) == line
    assert sentence in said(run)
    assert "also chose the weights, so the value is favourable" in said(run)
    assert test in said(run)
    del facts["examples"]["test"]
    untested = told(tmp_path / "no", LEVEL, FALLS, FALLS, state=state, test=None, facts=facts)
    assert "favourable: there is no test part" in said(untested)


def test_a_folder_that_is_called_diverged_is_no_run_that_did(tmp_path: Path):
    state = "stopped by SIGINT; the run in diverged is saved"
    facts = {"examples": {"train": 800, "validation": 100, "test": 100}}
    run = told(tmp_path / "diverged", LEVEL, FALLS, FALLS, state=state, test=None, facts=facts)
    assert headline(read_run(run)) == "stopped at step 80 of 80"
    assert f"skipwise resume {run} goes on" in said(run)
    assert "favourable: the test part comes at the end" in said(run)


def test_what_only_python_has_the_data_of_names_no_command(tmp_path: Path):
    facts = {"steps": 100, "examples": {"train": 800, "validation": 100, "test": 100}}
    for state in ("stopped at once", "left by its caller", "the loss is nan at step 80: training"):
        diverged = f"{state} diverged; lower strategy.peak_lr" if "nan" in state else state
        folder = tmp_path / state.partition(" ")[0]
        run = told(folder, LEVEL, FALLS, FALLS, state=diverged, test=None, facts=facts)
        (run / "experiment.yaml").write_text("data:\n  is: skipwise.data.Own\n  dataset: null\n")
        found = said(run)
        assert "skipwise evaluate" not in found
        assert "skipwise resume" not in found
        again, alone = f'skipwise.resume("{run}", data=DATA) goes on', "nothing scored its best"
        assert (again in found, alone in found) == ("nan" not in state, "nan" in state)


def test_a_run_that_was_quiet_for_long_may_be_dead(tmp_path: Path):
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS, state="running", test=None)
    hour = time.time() - 3600
    os.utime(run / "metrics.jsonl", (hour, hour))
    assert "its last line is 1 h 0 min old; if it was killed, skipwise resume" in said(run)


def test_a_difference_is_held_against_the_number_of_examples(tmp_path: Path):
    names = {"a": 0.95, "b": 0.94, "c": 0.80}
    runs = [told(tmp_path / n, LEVEL, FALLS, FALLS, test=score) for n, score in names.items()]
    found = compare_to([read_run(run) for run in runs]).verdict
    assert found[0] == "Best accuracy on the test part: a, 95 %."
    assert "b is 1.0 points below, ±2.0" in found[1]
    assert "no more than chance" in found[1]
    assert "c is 15.0 points below, ±2.8" in found[2]
    assert ": more than chance" in found[2]


def test_runs_on_different_data_are_not_compared(tmp_path: Path):
    one = told(tmp_path / "a", LEVEL, FALLS, FALLS)
    other = told(tmp_path / "b", LEVEL, FALLS, FALLS, facts={"digest": "e"})
    found = compare_to([read_run(one), read_run(other)]).verdict
    assert found == ["They were trained on different data, so their scores are not compared."]
