"""Checkpoints, journal, budget, early stopping: nothing broken is written, none is read."""

import errno
import json
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from skipwise.files import LEFT_SECONDS, drafts_of, naming, write_atomic
from skipwise.records import (
    EvaluationRecord,
    NoteRecord,
    StepRecord,
    from_line,
    read_journal,
    steps_as_csv,
    to_line,
)
from skipwise.training import (
    Best,
    Cost,
    Diverged,
    Journal,
    Step,
    TimeBudget,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path):
    state = {
        "model": {"w": torch.randn(3, 4), "n": torch.tensor(7)},
        "step": 3,
        "best": {"value": math.nan, "step": None},
    }
    save_checkpoint(tmp_path, state)
    found = load_checkpoint(tmp_path / "last.ckpt")
    assert torch.equal(found["model"]["w"], state["model"]["w"])
    assert (found["step"], found["best"]["step"]) == (3, None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.ckpt"]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_is_used(tmp_path: Path, damage: str):
    for step in (1, 2):
        save_checkpoint(tmp_path, {"step": step, "w": torch.zeros(50)})
    last = tmp_path / "last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes({"cut": content[: len(content) // 2], "flip": content, "empty": b""}[damage])
    state, refused = newest_checkpoint(tmp_path)
    assert state is not None
    assert state["step"] == 1
    assert len(refused) == 1
    assert "last.ckpt" in refused[0]


def test_a_save_that_was_killed_between_its_two_names_is_gone_on_from(tmp_path: Path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    save_checkpoint(tmp_path / "one", {"step": 1})
    save_checkpoint(tmp_path / "two", {"step": 2})
    (tmp_path / "one" / "last.ckpt").rename(tmp_path / "before.ckpt")
    (tmp_path / "two" / "last.ckpt").rename(tmp_path / ".next.ckpt")
    assert newest_checkpoint(tmp_path) == ({"step": 2}, ())


def test_a_save_that_fails_leaves_both_files(tmp_path: Path):
    for step in (1, 2):
        save_checkpoint(tmp_path, {"step": step})
    (tmp_path / ".next.ckpt").mkdir()  # so that nothing can be written there
    with pytest.raises(IsADirectoryError):
        save_checkpoint(tmp_path, {"step": 3})
    found = [load_checkpoint(tmp_path / f"{name}.ckpt")["step"] for name in ("last", "before")]
    assert found == [2, 1]


def test_a_foreign_checkpoint_is_refused(tmp_path: Path):
    torch.save({"step": 1}, tmp_path / "last.ckpt")
    with pytest.raises(
        ValueError,
        match=r"no checkpoint to go on from: .*is not a Skipwise checkpoint; train it anew",
    ):
        newest_checkpoint(tmp_path)
    assert newest_checkpoint(tmp_path / "empty") == (None, ())


def test_reading_a_checkpoint_runs_no_code(tmp_path: Path):
    class Evil:
        def __reduce__(self):
            return (os.system, ("touch " + str(tmp_path / "was-here"),))

    save_checkpoint(tmp_path, {"step": Evil()})
    with pytest.raises(ValueError, match="cannot be read"):
        load_checkpoint(tmp_path / "last.ckpt")
    assert not (tmp_path / "was-here").exists()


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path):
    target = tmp_path / "file"
    write_atomic(target, b"old")
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "nowhere" / "file", b"new")
    target.unlink()
    target.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(IsADirectoryError):
        write_atomic(target, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_several_that_write_one_file_do_not_spoil_each_other(tmp_path: Path):
    target, contents = tmp_path / "file", [bytes([n]) * 100_000 for n in range(40)]
    with ThreadPoolExecutor(4) as writers:
        list(writers.map(lambda content: write_atomic(target, content), contents))
    assert target.read_bytes() in contents
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_draft_of_a_writer_that_was_killed_goes_with_a_later_write(tmp_path: Path):
    target, long_ago = tmp_path / "file[1]", time.time() - 2 * LEFT_SECONDS
    killed, at_work, of_another = (
        tmp_path / f".{name}.draft" for name in ("file[1].00", "file[1].11", "file1.22")
    )
    for draft in (killed, at_work, of_another):
        draft.touch()
    for draft in (killed, of_another):
        os.utime(draft, (long_ago, long_ago))
    assert {*drafts_of(target)} == {killed, at_work}
    write_atomic(target, b"new")
    assert {*tmp_path.iterdir()} == {target, at_work, of_another}


def step(number: int, loss: float = 1.0) -> Step:
    return Step(
        step=number,
        loss=torch.tensor(loss),
        gradient_norm=torch.tensor(2.0),
        rate=0.1,
        examples=8,
        seconds=0.01,
    )


def test_a_journal_cut_back_holds_each_step_once(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path, size=0, epoch=lambda s: s / 10)
    for n in range(1, 6):
        journal.step(step(n))
    journal.read()
    size = journal.size
    for n in range(6, 9):
        journal.step(step(n))
    journal.read()
    journal.close()
    with path.open("a") as file:
        file.write('{"event": "step", "st')  # killed in the middle of a line
    again = Journal(path, size=size, epoch=lambda s: s / 10)
    again.step(step(6))
    again.read()
    again.close()
    assert [e.step for e in read_journal(path)] == [1, 2, 3, 4, 5, 6]


def test_a_line_that_was_cut_within_a_letter_is_left_out(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    notes = [NoteRecord(step=n, text="größer") for n in (1, 2)]
    whole, cut = (to_line(note).encode() for note in notes)
    path.write_bytes(whole + cut[: cut.index("ö".encode()) + 1])
    assert list(read_journal(path)) == notes[:1]


def test_a_journal_that_lost_lines_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"metrics\.jsonl is shorter than.*give back a copy, or"):
        Journal(tmp_path / "metrics.jsonl", size=10, epoch=float)


def test_a_step_stands_in_the_journal_with_all_its_numbers(tmp_path: Path):
    journal = Journal(tmp_path / "m", size=0, epoch=lambda s: s / 8)
    seconds = {"data_seconds": 0.125, "gradient_seconds": 0.25, "optimiser_seconds": 0.0625}
    measured = {"accuracy": torch.tensor(0.75), "clipped": torch.tensor(True), "gradients": 3}
    journal.step(replace(step(1, 0.5), **seconds, **measured))
    journal.step(replace(step(2, math.inf), skipped=True))  # its loss ends nothing
    given = journal.read()
    journal.close()
    first, second = read_journal(tmp_path / "m")
    told = {"loss": 0.5, "rate": 0.1, "gradient_norm": 2.0, "examples": 8, "seconds": 0.01}
    whole = {**told, **seconds, "accuracy": 0.75, "gradients": 3, "clipped": True}
    assert first == given[0] == StepRecord(step=1, epoch=0.125, **whole)
    assert isinstance(second, StepRecord)
    assert (second.step, second.skipped, second.clipped, second.gradients) == (2, True, False, 1)
    assert math.isnan(second.accuracy)


def test_losses_are_read_every_few_steps_only(tmp_path: Path):
    journal = Journal(tmp_path / "m", size=0, epoch=float)
    given = [len(journal.step(step(n))) for n in range(1, 41)]
    assert given == [0] * 19 + [20] + [0] * 19 + [20]
    journal.close()


def test_what_was_read_stands_in_the_file_before_the_journal_closes(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    taken_over = Journal(path, size=0, epoch=float)
    taken_over.step(step(1))
    taken_over.read()
    again = Journal(path, size=0, epoch=float)  # another session, from the first save
    again.step(step(7))
    again.read()
    taken_over.close()
    again.close()
    assert [e.step for e in read_journal(path)] == [7]


def test_a_loss_that_is_not_finite_is_named_with_its_step(tmp_path: Path):
    journal = Journal(tmp_path / "m", size=0, epoch=float)
    for n in range(1, 5):
        journal.step(step(n, math.nan if n == 3 else 1.0))
    with pytest.raises(
        Diverged, match=r"the loss is nan at step 3: training diverged; lower strategy.peak_lr"
    ):
        journal.read()
    journal.close()
    lines = (tmp_path / "m").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [1.0, 1.0, None]


def test_events_survive_their_line():
    events = [
        StepRecord(
            step=1, epoch=0.1, loss=0.5, rate=0.1, gradient_norm=2.0, examples=8, seconds=0.1
        ),
        EvaluationRecord(step=1, part="test", examples=9, metrics={"accuracy": 0.5}, seconds=0.2),
        NoteRecord(step=2, text="straße"),
    ]
    assert [from_line(to_line(e)) for e in events] == events
    nothing = EvaluationRecord(
        step=1, part="test", examples=9, metrics={"r2": math.nan}, seconds=0.2
    )
    assert "null" in to_line(nothing)
    found = from_line(to_line(nothing))
    assert isinstance(found, EvaluationRecord)
    assert math.isnan(found.metrics["r2"])


def test_the_table_has_a_row_a_step():
    events = [
        StepRecord(
            step=1, epoch=0.1, loss=0.5, rate=0.1, gradient_norm=2.0, examples=8, seconds=0.1
        ),
        EvaluationRecord(
            step=1, part="validation", examples=9, metrics={"accuracy": 0.5}, seconds=0.2
        ),
    ]
    rows = steps_as_csv(iter(events)).splitlines()
    assert rows[0].split(",")[-1] == "validation_accuracy"
    assert rows[1] == "1,0.1,0.5,0.1,2.0,8,0.1,0.5"


def evaluation(at: int, accuracy: float, loss: float) -> EvaluationRecord:
    metrics = {"accuracy": accuracy, "loss": loss}
    return EvaluationRecord(step=at, part="validation", examples=1, metrics=metrics, seconds=0)


def test_the_best_is_the_highest_then_the_lowest_loss_then_the_earliest():
    best = Best(metric="accuracy", higher=True, patience=2)
    scores = [(1, 0.5, 1.0), (2, 0.7, 0.9), (3, 0.7, 0.8), (4, 0.7, 0.8), (5, 0.6, 0.1)]
    improved = [best.improves(evaluation(*score)) for score in scores]
    assert improved == [True, True, True, False, False]
    assert (best.step, best.gives_up) == (3, True)


def test_a_metric_that_is_no_number_is_worse_than_every_number():
    for higher, first, worse in ((True, -5.0, -6.0), (False, 5.0, 6.0)):
        best = Best(metric="accuracy", higher=higher)
        values = (math.nan, first, math.nan, worse)
        improved = [best.improves(evaluation(n, v, 1.0)) for n, v in enumerate(values, 1)]
        assert improved == [True, True, False, False]
        assert (best.step, best.value) == (2, first)


def test_what_is_known_of_the_best_survives_a_resume():
    best, again = (Best(metric="accuracy", higher=True, patience=2) for _ in range(2))
    for record in (evaluation(1, 0.5, 1.0), evaluation(2, 0.4, 1.0)):
        best.improves(record)
    again.restore(best.state())
    assert again == best
    again.improves(evaluation(3, 0.4, 1.0))
    assert again.gives_up


def simulate(
    budget: float, step_seconds: float, drift: float = 1.0, evaluation_seconds: float = 3.0
) -> float:
    """Give the seconds of a simulated run with an evaluation every 100 steps and at the end."""
    plan = TimeBudget(seconds=budget)
    clock, taken, steps = 0.0, 0, 10_000
    while taken < steps:
        taken += 1
        now = step_seconds * (drift if clock > budget / 2 else 1.0)
        clock += now
        cost = Cost(
            step=now, examples=1, between=1 / 100, end=1, example_seconds=evaluation_seconds
        )
        steps = plan.fit(taken, steps, elapsed=clock, cost=cost)
        if taken % 100 == 0 or taken == steps:
            clock += evaluation_seconds
    return clock


@pytest.mark.parametrize("drift", [0.6, 1.0, 1.5])
@pytest.mark.parametrize("step_seconds", [0.02, 0.15, 1.0])
def test_a_run_ends_within_five_percent_of_its_budget(step_seconds: float, drift: float):
    assert abs(simulate(600, step_seconds, drift) / 600 - 1) < 0.05


def test_a_spent_budget_ends_the_run_at_once():
    budget = TimeBudget(seconds=10, spent=11)
    assert budget.told(3, 3, 0.5) == "the 10 seconds are over, so the run ends at step 3"
    assert budget.fit(5, 1000, elapsed=0, cost=Cost(step=1, examples=1, between=0, end=0)) == 5


def test_the_seconds_of_every_session_before_count():
    first, second, third = (TimeBudget(seconds=100) for _ in range(3))
    second.restore(first.state(40))
    third.restore(second.state(40))
    cost = Cost(step=1, examples=1, between=0, end=0)
    assert third.fit(85, 1000, elapsed=10, cost=cost) == 85 + 10
    assert third.fit(85, 1000, elapsed=20, cost=cost) == 85


def test_one_slow_step_at_the_start_does_not_end_the_run():
    """An evaluation of 15,000 examples is not timed yet; a step took 0.15 s, then one took 8 s."""
    budget, steps = TimeBudget(seconds=240), 0
    for step, seconds in enumerate([0.15] * 9 + [8.0], start=1):
        cost = Cost(step=seconds, examples=128, between=11.6, end=15_000)
        steps = budget.fit(step, 10_000, elapsed=0.15 * step + seconds, cost=cost)
    # 15,000 examples cost 5.9 s at a third of a step, and 11.6 of them 4.5 ms a step.
    assert steps == pytest.approx((240 - 1.5 - 8 - 5.9) / 0.1545, rel=0.05)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), r"No space left on device: '.*/place'$"),
        (OSError("image file is truncated"), "^image file is truncated$"),
        (OSError(errno.ECONNRESET, "Connection reset by peer"), "reset by peer$"),
    ],
)
def test_a_place_is_named_of_a_full_disk_alone(tmp_path: Path, error: OSError, told: str):
    with pytest.raises(OSError, match=told), naming(tmp_path / "place"):
        raise error
