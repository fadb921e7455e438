"""Steps that waited for their batches are told of, with what would help."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

import skipwise
from skipwise.data import Augmentation, Batches, Examples, Flip, Own, RandAugment, TrivialAugment
from skipwise.records import StepRecord
from skipwise.training import waited, waiting_notes
from tests.references import rings
from tests.reports.runs import a_step

CPU = torch.device("cpu")


def steps(count: int, *, data: float = 2.0) -> list[StepRecord]:
    """Steps of 8 seconds: so many for the batch, 5 and ½ for the update, the rest for nothing."""
    parts = {"data_seconds": data, "gradient_seconds": 5.0, "optimiser_seconds": 0.5}
    return [replace(a_step(n, 1.0), seconds=8.0, **parts) for n in range(1, count + 1)]


def batches(
    augmentation: Sequence[Augmentation] = (Flip(),), examples: Examples | None = None
) -> Batches:
    data = rings()
    train = examples or data.train
    return Batches(
        train,
        data.preprocessing,
        size=32,
        seed=0,
        augmentation=tuple(augmentation),
        classes=5,
        device=CPU,
    )


def test_a_gpu_that_computed_meanwhile_did_not_wait():
    found = [*steps(10), a_step(11, 1.0)]  # which does not say how it divides
    assert waited(found, on_gpu=False) == (20.0, 80.0)
    assert waited(found, on_gpu=True) == (15.0, 80.0)  # ½ second a step it was waited for
    assert waited(steps(10, data=0.5), on_gpu=True) == (0.0, 80.0)


def test_from_a_fifth_of_the_steps_on_it_is_said():
    help = "--augment with fewer changes of the pictures is quicker"
    told = f"waiting for batches took 20 of the steps' 80 s; {help}"
    assert waiting_notes(steps(10), batches()) == (told,)
    assert waiting_notes(steps(10, data=1.6), batches()) == ()
    assert waiting_notes(steps(5), batches()) == ()  # 10 seconds are not worth a word
    assert waiting_notes(steps(10), batches(())) == ()  # nothing that would help is known


def test_what_would_help_depends_on_where_batches_come_from():
    (told,) = waiting_notes(steps(10), batches((TrivialAugment(), RandAugment())))
    assert "TrivialAugment and RandAugment change pictures one by one: --augment without" in told
    decoded = rings().train
    decoded.workers = 2
    (told,) = waiting_notes(steps(10), batches(examples=decoded))
    assert "a larger --memory, if there is so much, has them decoded once" in told


class Slow(Dataset):
    """Twenty-odd vectors, each of which takes its time."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, n: int) -> tuple[torch.Tensor, int]:
        time.sleep(0.002)
        return torch.full((3,), float(n % 2)), n % 2


def test_a_run_that_waited_says_so_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("skipwise.training.policies.waiting.SECONDS", 0.0)
    run = skipwise.train(Own(dataset=Slow()), steps=6, out="run", report=False, quiet=True)
    assert run.notes[-1].startswith("waiting for batches took ")
    assert "s; your data set gives one example at a time: let it keep what" in run.notes[-1]
