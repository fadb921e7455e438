"""V9: one direction for all is a collapse; what theory or the classes explain is none."""

import math

import pytest
import torch
from torch import nn

from skipwise.analysis import state_ranks
from skipwise.diagnosis import Level, Verdict
from skipwise.diagnosis.rules import collapse
from tests.diagnosis.rules.made import curve, measured, signal_of
from tests.diagnosis.rules.networks import noise, plain, residual, signal_along


def judged(rank: float, cosine: float, samples: float = 256.0, **options) -> Verdict:
    columns = {
        "effective rank": [30.0, rank],
        "width": [64.0, 64.0],
        "samples": [samples, samples],
        "mean cosine": [0.1, cosine],
    }
    return collapse(ranks=measured(["block 0", "block 1"], columns), **options)


@pytest.mark.parametrize(
    ("rank", "cosine", "level"),
    [
        (6.41, 0.99, Level.PASS),
        (6.39, 0.5, Level.WARN),
        (30.0, 0.9901, Level.WARN),
    ],
)
def test_a_tenth_of_the_width_and_a_cosine_are_the_borders(rank, cosine, level):
    found = judged(rank, cosine, trained=False)
    assert found.level is level
    assert found.where == (("block 1",) if level is Level.WARN else ())


def test_few_examples_span_few_directions():
    assert judged(4.0, 0.5, samples=20, trained=False).level is Level.PASS
    assert judged(1.9, 0.5, samples=20, trained=False).level is Level.WARN


def test_a_wide_block_on_few_samples_is_held_against_what_these_can_span():
    batch = noise(0, 8, 512), torch.zeros(8)
    found = collapse(ranks=state_ranks(residual(2, 0, width=512), batch), trained=False)
    assert found.numbers["of at most"] == 8
    assert found.level is Level.PASS


def test_a_cosine_that_theory_expects_is_by_design():
    def against(expected: float, rank: float = 30.0) -> Level:
        other = curve("correlation", [0.0, math.nan, math.nan], 1)  # of another stage
        line = curve("correlation", [math.nan, 0.9, expected], 1)
        signal = signal_of([1.0, 1.0, 1.0], theories=[other, line])
        return judged(rank, 0.996, signal=signal, trained=False).level

    assert against(0.9901) is Level.INFO
    assert against(0.9899) is Level.WARN
    assert against(0.9901, rank=1.0) is Level.WARN  # theory speaks of the cosine alone


def test_neural_collapse_is_healthy():
    assert judged(4.6, 0.995, trained=True, classes=10).level is Level.PASS
    assert judged(4.4, 0.995, trained=True, classes=10).level is Level.WARN
    assert judged(4.6, 0.995, trained=False, classes=10).level is Level.WARN
    assert judged(1.5, 0.995, trained=True).level is Level.PASS


def test_what_was_not_measured_is_unknown():
    assert collapse().level is Level.UNKNOWN


@pytest.mark.parametrize("seed", range(3))
def test_a_bottleneck_of_one_unit_is_found_and_its_twin_is_healthy(seed: int):
    batch = noise(seed, 64, 64), torch.zeros(64)
    twin = residual(6, seed)
    healthy = collapse(ranks=state_ranks(twin, batch), trained=False)
    assert healthy.level is Level.PASS
    torch.manual_seed(seed)
    narrow = nn.Sequential(nn.Linear(64, 1), nn.Linear(1, 64))
    fault = nn.Sequential(narrow, *plain(4, seed))  # type: ignore[misc]
    ranks = state_ranks(fault, batch, sites="[1234]")
    found = collapse(ranks=ranks, trained=False)
    assert found.level is Level.WARN
    assert found.where[0] == "1"


def test_a_hundred_plain_layers_have_the_cosine_of_theory():
    model = plain(100, 0, width=256)
    batch = noise(0, 16, 256), torch.zeros(16)
    found = collapse(
        ranks=state_ranks(model, batch),
        signal=signal_along(model, 0, width=256),
        trained=False,
    )
    assert found.numbers["cosine by theory"] == pytest.approx(0.996423, abs=2e-3)
    assert found.level is Level.INFO
