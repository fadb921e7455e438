"""A guarded run through stops, returns and its journal."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from skipwise.experiment import Experiment, compose
from skipwise.networks import fixup20
from skipwise.records import NoteRecord, StepRecord, read_journal
from skipwise.runs import begin, go_on, record_of
from skipwise.strategies import (
    EMA,
    Guard,
    nesterov,
)
from skipwise.training import (
    Step,
    load_checkpoint,
    train,
)
from tests.references import rings_file, tensors
from tests.training.policies.test_guard import a_run, normed


def wild(tmp_path: Path) -> Experiment:
    """A run without norms, at a rate at which it returns to earlier states."""
    guard = Guard(patience=2, every=5, age=3, settling=5, window=20)
    strategy = replace(nesterov(), peak_lr=30.0, guard=guard, averaging=EMA())
    network = replace(fixup20(), width=4, blocks=(1, 1))
    path = str(rings_file(tmp_path / "rings.npz"))
    return compose(path, network, strategy, steps=40, batch_size=32)[0]


def events(folder: Path) -> list[tuple[int, str]]:
    found = read_journal(folder / "metrics.jsonl")
    return [(e.step, e.text) for e in found if isinstance(e, NoteRecord)]


def whole(experiment: Experiment, folder: Path) -> dict:
    for _ in begin(experiment, experiment.data.load(), folder).events():
        pass
    return load_checkpoint(folder / "last.ckpt")


def test_a_run_resumes_exactly_before_amid_and_after_a_return(tmp_path: Path):
    experiment = wild(tmp_path)
    wanted = whole(experiment, tmp_path / "whole")
    returned = [step for step, text in events(tmp_path / "whole") if "the run returned" in text]
    assert returned
    for cut in (returned[0] - 1, returned[0], returned[-1] - 1):
        folder = tmp_path / f"cut-{cut}"
        for event in begin(experiment, experiment.data.load(), folder).events():
            if isinstance(event, Step) and event.step == cut + 1:
                break
        session, _ = go_on(folder)
        for _ in session.events():
            pass
        found = load_checkpoint(folder / "last.ckpt")
        for a, b in zip(tensors(wanted["run"]), tensors(found["run"]), strict=True):
            assert torch.equal(a, b)
        assert found["run"]["rate_scale"] == wanted["run"]["rate_scale"]
        assert events(folder) == events(tmp_path / "whole")


@pytest.mark.parametrize(("age", "first"), [(0, 3), (2, 5)])
def test_a_return_leads_to_a_state_that_is_old_enough_and_was_not_left(age: int, first: int):
    strategy = replace(nesterov(), guard=Guard(every=1, age=age, kept=9))
    run = a_run(strategy, normed(), steps=20)
    weights = {0: tensors(run.model.state_dict())}
    for step in islice(train(run), 6):
        weights[step.step] = [tensor.clone() for tensor in tensors(run.model.state_dict())]
    assert run.guard is not None
    for began, scale in ((first, 0.1), (6, 0.01)):  # what led to the first is not returned to
        (said,) = run.guard.turn_back("it broke", began=began)
        assert "returned to its state after step 2 and" in said
        now = tensors(run.model.state_dict())
        assert all(torch.equal(a, b) for a, b in zip(now, weights[2], strict=True))
        assert (run.step, run.rate_scale) == (6, pytest.approx(scale))


def test_the_journal_has_every_step_once_and_says_which_were_skipped(tmp_path: Path):
    experiment = wild(tmp_path)
    session = begin(experiment, experiment.data.load(), tmp_path / "run")
    for _ in session.events():
        pass
    steps = [
        e for e in read_journal(tmp_path / "run" / "metrics.jsonl") if isinstance(e, StepRecord)
    ]
    assert [e.step for e in steps] == list(range(1, 41))
    assert any(e.skipped for e in steps)
    record = record_of(session)
    said = [text for _, text in events(tmp_path / "run")]
    assert record.skipped == sum(e.skipped for e in steps)
    assert record.rolled_back == sum("the run returned" in text for text in said) > 0
    assert record.clipped == 0
    assert (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0].count("skipped") == 1
