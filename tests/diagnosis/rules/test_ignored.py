"""V6: three witnesses accuse, two do not, and what starts at zero is by design."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from skipwise.analysis import gradient_split, lesions
from skipwise.connections import Additive
from skipwise.diagnosis import Level, Verdict
from skipwise.diagnosis.rules import ignored
from skipwise.networks import resnet20
from tests.diagnosis.rules.made import measured
from tests.diagnosis.rules.networks import noise, of_pictures, pictures, residual

NAMES = ("a", "b", "c")


def judged(
    share: float = 1e-6,
    energy: float = 1e-6,
    low: float = -1.0,
    high: float = 1.0,
    *,
    others: float = 0.3,
    trained: bool | None = True,
    change: float = 1e-9,
) -> Verdict:
    """The verdict where blocks b and c are used, and a has these numbers."""
    cut = {
        "change of loss": [change, 0.5, 0.5],
        "low": [low, 0.4, 0.4],
        "high": [high, 0.6, 0.6],
    }
    split = {"forward share": [share, others, others], "energy ratio": [energy, 0.5, 0.5]}
    return ignored(lesions=measured(NAMES, cut), split=measured(NAMES, split), trained=trained)


def test_all_three_witnesses_accuse():
    verdict = judged()
    assert verdict.level is Level.FAIL
    assert verdict.where == ("a",)
    assert "network.blocks" in verdict.cure


@pytest.mark.parametrize(
    "innocent", [{"share": 1e-2}, {"energy": 1e-2}, {"low": 1e-9}, {"high": -1e-9}]
)
def test_two_witnesses_are_no_evidence(innocent: dict[str, Any]):
    assert judged(**innocent).level is Level.PASS


def test_the_borders_are_a_hundredth_and_zero():
    assert judged(share=0.99e-2, energy=0.99e-2, low=0.0, others=2).level is Level.FAIL


def test_without_an_interval_only_no_change_at_all_counts():
    assert judged(low=math.nan, high=math.nan).level is Level.PASS
    assert judged(low=math.nan, high=math.nan, change=0.0).level is Level.FAIL


def test_a_block_among_others_as_small_is_not_accused():
    assert judged(share=0.99e-3, others=0.1).level is Level.FAIL
    assert judged(share=1.01e-3, others=0.1).level is Level.WARN


def test_the_start_is_by_design_and_an_unknown_training_accuses_nobody():
    assert judged(trained=False).level is Level.INFO
    assert judged(trained=False).cure == ""
    assert judged(trained=None).level is Level.WARN


def test_what_was_not_measured_is_unknown():
    assert ignored().level is Level.UNKNOWN
    plain = {"forward share": [1.0], "energy ratio": [math.nan]}
    cut = {"change of loss": [math.nan], "low": [math.nan], "high": [math.nan]}
    verdict = ignored(lesions=measured("a", cut), split=measured("a", plain), trained=True)
    assert verdict.level is Level.UNKNOWN


def of(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor], *, trained: bool) -> Verdict:
    return ignored(
        lesions=lesions(model, batch), split=gradient_split(model, batch), trained=trained
    )


def trained_with(seed: int, frozen: str = "") -> nn.Module:
    """A small network after 20 steps; the last norm of one branch may stand still at zero."""
    model = of_pictures(resnet20(), seed, blocks=2, width=8)
    if frozen:
        norms = [m for m in model.get_submodule(frozen).modules() if isinstance(m, nn.BatchNorm2d)]
        nn.init.zeros_(norms[-1].weight)
        norms[-1].requires_grad_(False)
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.05, 0.9)
    for _ in range(20):
        optimiser.zero_grad()
        x, labels = pictures(seed, 32)
        nn.functional.cross_entropy(model(x), labels).backward()
        optimiser.step()
    return model


@pytest.mark.parametrize("seed", range(3))
def test_a_frozen_branch_is_found_and_its_twin_is_healthy(seed: int):
    batch = pictures(seed, 32)
    fault = of(trained_with(seed, "trunk.blocks.3.branch"), batch, trained=True)
    assert fault.level is Level.FAIL
    assert fault.where == ("trunk.blocks.3",)
    assert of(trained_with(seed), batch, trained=True).level is Level.PASS


def test_rezero_is_silent_by_design():
    model = residual(4, 0, Additive(scale=0.0, learned=True), 16)
    batch = noise(0, 8, 16), torch.arange(8) % 16
    found = of(model, batch, trained=False)
    assert found.level is Level.INFO
    assert found.numbers["ignored"] == 4
    assert of(model, batch, trained=True).level is Level.WARN  # all of them: not one among others
