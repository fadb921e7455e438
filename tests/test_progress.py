"""What is told while a run goes, and the user's function that hears of everything."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import skipwise
from skipwise.data import Arrays
from skipwise.progress import speed_of, telling
from skipwise.records import EvaluationRecord, NoteRecord, StepRecord, read_journal, throughput
from skipwise.reports import read_run
from skipwise.runs import begin
from skipwise.training import Step, load_checkpoint
from tests.references import rings_file
from tests.reports.runs import a_step
from tests.studies.small import NETWORK
from tests.watch.test_watch import experiment

QUICK: dict[str, Any] = {"batch_size": 32, "report": False}


def took(examples: int, seconds: float) -> StepRecord:
    return StepRecord(**{**vars(a_step(1, 1.0)), "examples": examples, "seconds": seconds})


def test_examples_a_second_are_those_of_all_steps_together():
    steps = [took(30, 0.5), took(30, 0.125), took(40, 0.375)]
    assert throughput(steps) == 100.0
    assert speed_of(steps) == "100 examples/s"
    assert speed_of([took(32, 0.01)]) == "3,200 examples/s"
    assert speed_of([took(1, 4.0)]) == "0.25 examples/s"


def test_lines_and_bar_tell_examples_a_second(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr("skipwise.progress.LINE_SECONDS", 0.0)
    described = experiment(tmp_path)
    list(telling(begin(described, described.data.load(), tmp_path / "lines")))
    told = capsys.readouterr().err
    assert re.search(r"^step 6/14 .* rate [\d.]+, [\d,.]+ examples/s, \d+ s left$", told, re.M)
    terminal = Console(file=io.StringIO(), force_terminal=True, width=200)
    monkeypatch.setattr("skipwise.progress.Console", lambda **_: terminal)
    list(telling(begin(described, described.data.load(), tmp_path / "bar")))
    assert isinstance(terminal.file, io.StringIO)
    assert re.search(r"loss [\d.]+ [\d,.]+ examples/s", terminal.file.getvalue())


@pytest.mark.parametrize("quiet", [True, False])
def test_a_function_of_the_users_hears_all_that_the_journal_has(tmp_path: Path, quiet: bool):
    data, events = Arrays(path=str(rings_file(tmp_path / "rings.npz"))), []
    settings = {**QUICK, "quiet": quiet, "on_event": events.append}
    run = skipwise.train(data, NETWORK, steps=8, out="run", **settings)
    skipwise.resume(run, steps=12, report=False, quiet=quiet, on_event=events.append)
    found = list(read_journal(Path("run/metrics.jsonl")))
    for kind in (StepRecord, NoteRecord):
        heard = [event for event in events if isinstance(event, kind)]
        assert heard == [event for event in found if isinstance(event, kind)]
    assert [event.step for event in events if isinstance(event, Step)] == [*range(1, 13)]
    metrics = [e.metrics for e in events if isinstance(e, EvaluationRecord)]
    # The score of the shorter run was taken out of the journal when it went on.
    parts = [e.metrics for e in found if isinstance(e, EvaluationRecord)]
    assert [m for m in metrics if m in parts] == parts
    assert len(metrics) == len(parts) + 1


@pytest.mark.parametrize("quiet", [True, False])
def test_what_the_function_raises_ends_the_run_which_goes_on_as_if_nothing_was(
    tmp_path: Path, quiet: bool
):
    data = Arrays(path=str(rings_file(tmp_path / "rings.npz")))

    def fail(event: object) -> None:
        if isinstance(event, Step) and event.step == 8:
            raise RuntimeError("mine")

    settings = {**QUICK, "quiet": quiet, "steps": 12}
    with pytest.raises(RuntimeError, match=r"^mine$"):
        skipwise.train(data, NETWORK, out="run", on_event=fail, **settings)
    assert read_run(Path("run")).state == "RuntimeError: mine"
    assert 0 < load_checkpoint(Path("run/last.ckpt"))["run"]["step"] < 8
    skipwise.resume("run", report=False, quiet=True)
    skipwise.train(data, NETWORK, out="whole", **settings)
    ends = [Path(name, "best.safetensors").read_bytes() for name in ("run", "whole")]
    assert ends[0] == ends[1]
