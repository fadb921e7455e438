"""V2, at its borders and on real weights."""

import math

import pytest
import torch
from torch import nn

from skipwise.diagnosis import Level, rehearse
from skipwise.diagnosis.rules import lost_updates
from tests.diagnosis.rules.training.made import blobs, moved, perceptron, rehearsed


@pytest.mark.parametrize(
    ("dtype", "power"), [("float64", -53), ("float32", -24), ("float16", -11), ("bfloat16", -8)]
)
def test_the_border_is_half_a_unit_in_the_last_place(dtype: str, power: int):
    assert 1 + torch.tensor(2.0**power, dtype=getattr(torch, dtype)) == 1
    border = moved(2.0**power, dtype=dtype)
    below = moved(math.nextafter(2.0**power, 0), dtype=dtype)
    assert lost_updates(rehearsal=rehearsed(border)).level is Level.PASS
    found = lost_updates(rehearsal=rehearsed(border, below))
    assert (found.level, found.where, found.rule) == (Level.FAIL, ("w1",), "V2")
    assert found.numbers["tensors that lose theirs"] == 1


def test_every_guard_keeps_it_from_accusing():
    lost = {"dtype": "bfloat16"}
    assert lost_updates(rehearsal=rehearsed(moved(1e-3, mastered=True, **lost))).level is Level.PASS
    assert lost_updates(rehearsal=rehearsed(moved(1e-3, gradient=0.0, **lost))).level is Level.PASS
    bias = moved(1e-3, dimensions=1, **lost)
    assert lost_updates(rehearsal=rehearsed(bias)).level is Level.INFO
    zero = moved(math.nan, **lost)
    assert lost_updates(rehearsal=rehearsed(zero)).level is Level.PASS


def test_at_the_ends_of_a_schedule_nothing_is_judged():
    lost = rehearsed(moved(1e-9), rate=1e-5)
    assert lost_updates(rehearsal=lost, peak_rate=1.0).level is Level.INFO
    assert lost_updates(rehearsal=lost, peak_rate=1e-2).level is Level.FAIL  # 1e-3 of it exactly
    assert lost_updates(rehearsal=lost).level is Level.FAIL
    assert lost_updates(rehearsal=rehearsed(moved(0.0), rate=0.0)).level is Level.INFO


def test_a_gradient_below_the_smallest_half_is_lost():
    fine = moved(1e-2, gradient=2.0**-24, dtype="float16")
    small = moved(1e-2, gradient=math.nextafter(2.0**-24, 0), dtype="float16")
    none = moved(1e-2, gradient=0.0, dtype="float16")
    assert lost_updates(rehearsal=rehearsed(fine)).level is Level.PASS
    assert lost_updates(rehearsal=rehearsed(fine, none)).level is Level.PASS  # by design, perhaps
    assert lost_updates(rehearsal=rehearsed(none)).level is Level.FAIL
    found = lost_updates(rehearsal=rehearsed(fine, small))
    assert (found.level, found.where) == (Level.FAIL, ("w1",))
    assert "GradScaler" in found.cure


def test_what_was_not_measured_is_unknown():
    assert lost_updates().level is Level.UNKNOWN
    broken = lost_updates(rehearsal=rehearsed(broke="the loss"))
    assert broken.level is Level.UNKNOWN
    assert "the loss not finite" in broken.says
    other = rehearsed(moved(1e-9, dtype="float8_e5m2"))
    assert lost_updates(rehearsal=other).level is Level.UNKNOWN


@pytest.mark.parametrize("seed", range(3))
def test_a_rate_too_small_for_bfloat16_is_accused_and_float32_is_not(seed: int):
    inputs, targets = blobs(64, seed=seed)
    for dtype, level in ((torch.bfloat16, Level.FAIL), (torch.float32, Level.PASS)):
        model = perceptron(seed).to(dtype)
        rule = torch.optim.Adam(model.parameters(), lr=1e-5)
        found = rehearse(model, (inputs.to(dtype), targets), None, rule, steps=8)
        verdict = lost_updates(rehearsal=found)
        assert verdict.level is level, verdict
    rule = torch.optim.SGD(model.parameters(), lr=1e-9)
    found = lost_updates(rehearsal=rehearse(model, (inputs, targets), None, rule, steps=8))
    assert found.level is Level.FAIL


def test_a_bias_before_a_norm_is_not_accused():
    model = perceptron(0, norms=True)
    found = rehearse(model, blobs(64, seed=0), None, torch.optim.SGD(model.parameters(), lr=0.1))
    verdict = lost_updates(rehearsal=found)
    assert verdict.level in (Level.PASS, Level.INFO)
    assert set(verdict.where) <= {"0.bias"}


def test_a_loss_too_small_for_float16_is_accused():
    model, inputs = nn.Linear(16, 4).half(), torch.ones(8, 16).half()
    for scale, level in ((1e-6, Level.FAIL), (1.0, Level.PASS)):
        rule = torch.optim.SGD(model.parameters(), lr=0.1)
        found = rehearse(
            model,
            (inputs, None),
            lambda output, _, scale=scale: (output.float() * scale).mean(),
            rule,
            steps=3,
            look=0,
        )
        assert lost_updates(rehearsal=found).level is level
