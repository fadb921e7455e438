"""TensorBoard reads what the run's own table holds."""

import csv
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import skipwise
from skipwise.data import Arrays
from skipwise.records import NoteRecord
from tests.references import rings_file
from tests.reports.runs import a_step, an_evaluation
from tests.studies.small import NETWORK

COLUMNS = {
    "train/loss": "loss",
    "train/accuracy": "accuracy",
    "train/rate": "rate",
    "train/gradient_norm": "gradient_norm",
    "validation/accuracy": "validation_accuracy",
    "validation/loss": "validation_loss",
    "test/accuracy": "test_accuracy",
}


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return found


def numbers(found: EventAccumulator, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in found.Scalars(name)]


def in_float32(value: float) -> float:
    return float(np.float32(value))


def test_tensorboard_reads_the_numbers_of_the_table(tmp_path: Path):
    data = Arrays(path=str(rings_file(tmp_path / "rings.npz")))
    skipwise.train(
        data,
        NETWORK,
        steps=12,
        batch_size=32,
        out="run",
        quiet=True,
        report=False,
        on_event=skipwise.tensorboard(tmp_path / "tb"),
    )
    found = read(tmp_path / "tb")
    with Path("run/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    for name, column in COLUMNS.items():
        told = [(int(r["step"]), in_float32(float(r[column]))) for r in rows if r[column]]
        assert numbers(found, name) == told
        assert told
    speeds = [in_float32(int(r["examples"]) / float(r["seconds"])) for r in rows]
    assert [value for _, value in numbers(found, "train/examples_per_second")] == speeds


def test_a_session_that_goes_on_replaces_the_steps_that_it_takes_again(tmp_path: Path):
    first = skipwise.tensorboard(tmp_path)
    for step in range(1, 11):
        first(a_step(step, 1.0))
    time.sleep(1.1)  # files of one second have no order
    second = skipwise.tensorboard(tmp_path)
    second(NoteRecord(step=5, text="goes on from step 5"))  # which stays
    for step in range(6, 13):
        second(replace(a_step(step, 2.0), accuracy=float("nan")))
    time.sleep(1.1)
    skipwise.tensorboard(tmp_path)(an_evaluation(3, "test", 10, 0.5, 1.0))  # takes no step
    found = read(tmp_path)
    wanted = [(step, 1.0 if step < 6 else 2.0) for step in range(1, 13)]
    assert numbers(found, "train/loss") == wanted
    assert numbers(found, "train/accuracy") == [(step, 0.5) for step in range(1, 6)]
    assert numbers(found, "test/accuracy") == [(3, 0.5)]


def test_without_the_package_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ValueError, match=r'not installed; .*pip install -e "\.\[tracking\]"'):
        skipwise.tensorboard("tb")
