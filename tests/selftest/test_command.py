"""The command: a line a case, the counts last, exit code 1 where a verdict is wrong."""

import inspect
import json
from importlib import import_module

import pytest

import skipwise.selftest.runner as runner
from skipwise.diagnosis import Diagnosis, Level, examine
from skipwise.selftest import Specimen, choose
from skipwise.selftest.runner import tried
from tests.cli.commands import call, fails
from tests.selftest.test_runner import saying


def test_a_line_for_each_case_and_the_counts_last(capsys: pytest.CaptureFixture[str]):
    code, out, _ = call(capsys, "selftest", "--case", "explode,rezero")
    lines = out.splitlines()
    assert lines[0].split()[:4] == ["explode", "V1", "found", "twin"]
    assert lines[1].split()[:3] == ["rezero", "-", "twin"]
    assert lines[-1].startswith("faults found 1 of 1, twins accused 0 of 2, twins warned")
    assert (code, len(lines)) == (0, 3)


@pytest.mark.slow
def test_all_faults_are_found_and_no_twin_is_accused(capsys: pytest.CaptureFixture[str]):
    code, out, _ = call(capsys, "selftest", "--quiet")
    assert code == 0
    assert out.startswith("faults found 16 of 16, twins accused 0 of 24")


def test_json_holds_every_trial(capsys: pytest.CaptureFixture[str]):
    code, out, _ = call(capsys, "selftest", "--case", "not-finite", "--seeds", "2", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["passed"]
    assert [trial["seed"] for trial in found["trials"]] == [0, 1]
    assert found["facts"]["torch"]


@pytest.mark.parametrize(
    ("level", "counts"),
    [
        (Level.PASS, "faults found 0 of 1, twins accused 0 of 1"),
        (Level.FAIL, "faults found 1 of 1, twins accused 1 of 1"),
    ],
)
def test_a_rule_that_sees_nothing_or_faults_everywhere_makes_exit_code_one(
    level: Level,
    counts: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    def broken(*given: object, **asked: object) -> Diagnosis:
        return saying(level)

    monkeypatch.setattr(runner, "examine", broken)
    code, out, _ = call(capsys, "selftest", "--case", "explode", "--quiet")
    assert code == 1
    assert out.startswith(counts)
    assert len(out.splitlines()) == 1


def test_what_was_missed_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runner, "examine", lambda *given, **asked: saying(Level.PASS))
    code, out, _ = call(capsys, "selftest", "--case", "explode")
    assert code == 1
    assert "MISSED" in out
    assert "seed 0, missed: V1 is PASS: so it is" in out


def test_wrong_words_are_a_sentence(capsys: pytest.CaptureFixture[str]):
    assert "did you mean 'vanish'" in fails(capsys, "selftest", "--case", "vanishing")
    assert "a seed at least" in fails(capsys, "selftest", "--seeds", "0")


def test_specimens_are_what_an_examination_asks_for():

    asked = Specimen.__dataclass_fields__.keys() - {"model", "batches"}
    assert asked <= inspect.signature(examine).parameters.keys()


def test_a_threshold_that_was_changed_is_noticed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    rule = import_module("skipwise.diagnosis.rules.blocks.shattered")
    monkeypatch.setattr(rule, "HALF", 0.0)  # nothing is below it
    code, out, _ = call(capsys, "selftest", "--case", "shattered")
    assert code == 1
    assert out.splitlines()[-1].startswith("faults found 0 of 1, twins accused 0 of 1")


@pytest.mark.parametrize("name", ["fixup", "zero-gamma", "rezero"])
def test_weights_that_wait_for_a_layer_of_zeros_are_not_accused(name: str):
    trial = tried(choose([name])[0], 1)
    assert not trial.accused
    assert not trial.broken
    assert "V2" in trial.measured
