"""What is examined is cut to sizes that the time allows, and a loader is not read to its end."""

import math
from dataclasses import replace
from itertools import count

import pytest
import torch
from torch import nn

from skipwise.diagnosis import History
from skipwise.diagnosis.subject import Subject, cut, equal, size_of, subject_of, taken, up_to

PAIR = torch.arange(10.0)[:, None], torch.arange(10)


def subject(cost: float, seconds: float = 60.0) -> Subject:
    return subject_of(
        nn.Identity(),
        PAIR,
        updated_on=None,
        validation=None,
        loss=None,
        sites=None,
        optimiser=None,
        history=None,
        start=None,
        seconds=seconds,
        cost=cost,
    )


@pytest.mark.parametrize(
    ("cost", "passes", "expected"),
    # 5 % of a minute are 3 s: 64 · 0.02 · 2 = 2.56 s fit, 64 · 0.02 · 3 do not, 32 · 0.02 · 3 do
    [(0.02, 2, 64), (0.02, 3, 32), (0.2, 3, 8), (100.0, 1, 8), (0.0, 100, 64)],
)
def test_examples_are_halved_until_their_passes_fit(cost: float, passes: int, expected: int):
    assert subject(cost).affordable(64, passes=passes) == expected


def test_norms_that_have_counted_batches_tell_of_a_training():
    model = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4))
    assert replace(subject(1.0), model=model).trained is None
    model(PAIR[0])
    assert replace(subject(1.0), model=model).trained is True
    untrained = History(batch_size=8)  # whoever says that no step was taken is believed
    assert replace(subject(1.0), model=model, history=untrained).trained is False


def test_without_a_limit_nothing_is_halved():
    assert subject(100.0, math.inf).affordable(64, passes=1000) == 64


def test_a_loader_is_read_as_far_as_it_is_needed():
    read = []
    loader = ((torch.zeros(8, 1), read.append(n) or torch.zeros(8)) for n in count())
    assert len(taken(loader, examples=20)) == 3
    assert read == [0, 1, 2]


def test_a_batch_is_cut_whatever_it_is_made_of():
    inputs = {"tokens": torch.arange(10), "mask": torch.ones(3, 3), "scale": 2.0}
    found, targets = cut((inputs, PAIR[1]), slice(2, 5))
    assert found["tokens"].tolist() == targets.tolist() == [2, 3, 4]
    assert found["mask"].shape == (3, 3)
    assert found["scale"] == 2.0
    both, _ = cut(((PAIR[0], PAIR[1]), PAIR[1]), slice(0, 4))
    assert [len(each) for each in both] == [4, 4]


def test_pieces_are_equal_and_do_not_overlap():
    pieces = equal([PAIR, PAIR], size=4, count=3)
    assert [p[1].tolist() for p in pieces] == [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]]
    assert [size_of(p) for p in up_to([PAIR, PAIR, PAIR], 13)] == [10, 3]


def test_statistics_count_as_settled_when_they_have_come_most_of_the_way():
    norm = nn.BatchNorm1d(2)
    held = subject_of(norm, PAIR, updated_on=None, validation=None, **vars_of(subject(0.0)))
    assert not held.settled
    for _ in range(22):  # 1 − 0.9²² = 0.902
        norm(torch.randn(4, 2))
    assert held.settled
    assert subject(0.0).settled


def vars_of(held: Subject) -> dict:
    others = ("model", "batches", "updated_on", "validation")
    return {name: value for name, value in vars(held).items() if name not in others}


def test_what_is_no_model_or_no_batch_is_refused():
    others = vars_of(subject(0.0)) | {"updated_on": None, "validation": None}
    with pytest.raises(TypeError, match="batch must be a pair"):
        subject_of(nn.Identity(), [PAIR[0][0]], **others)
    with pytest.raises(ValueError, match="there is no batch to measure on"):
        subject_of(nn.Identity(), [], **others)
