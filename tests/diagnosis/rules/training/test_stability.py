"""V4, at its borders, on parabolas and on real networks."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis import batch_sharpness, hessian_spectrum
from skipwise.diagnosis import History, Level, Verdict, rehearse
from skipwise.diagnosis.rules import stability
from tests.diagnosis.rules.training.made import blobs, measured, perceptron, rehearsed

RISING: dict[str, Any] = {"losses": tuple(1.1**step for step in range(20))}
FALLING: dict[str, Any] = {"losses": tuple(0.9**step for step in range(20))}


def spectrum(ratio: float, limit: float = 20.0):
    return measured({}, {"seen / limit": ratio, "limit of stability": limit})


def level(ratio: float, **steps: Any) -> Level:
    tried = rehearsed(**steps) if steps else None
    return stability(spectrum=spectrum(ratio), rehearsal=tried, full_batch=True).level


def test_without_a_witness_the_edge_is_told_and_nothing_more():
    assert level(math.nextafter(0.8, 0), **FALLING) is Level.PASS
    assert level(0.8, **FALLING) is level(1.2, **FALLING) is Level.INFO
    assert level(5.0, **FALLING) is Level.INFO
    assert level(1.2) is Level.INFO
    assert level(math.nextafter(1.2, 2)) is Level.UNKNOWN  # no step was seen


def test_with_a_witness_it_accuses_above_the_limit_only():
    assert level(1.0, **RISING) is Level.WARN
    assert level(math.nextafter(1.0, 2), **RISING) is Level.FAIL


def test_a_loss_far_above_that_of_guessing_is_a_witness():
    def judged(ratio: float, guessing: float) -> Verdict:
        tried = rehearsed(losses=(6.0, *(0.5**step for step in range(19))))
        return stability(
            spectrum=spectrum(ratio), rehearsal=tried, guessing=guessing, full_batch=True
        )

    assert judged(0.5, math.nan).level is judged(0.5, 2.0).level is Level.PASS
    assert judged(0.5, math.nextafter(2.0, 0)).level is Level.WARN
    assert judged(1.1, 1.0).level is Level.FAIL
    assert "the loss is 6, where guessing would have 1" in judged(-9.0, 1.0).says


def test_a_loss_that_curves_downwards_limits_no_rate():
    said = stability(spectrum=spectrum(-856.5), rehearsal=rehearsed(**FALLING), full_batch=True)
    assert (said.level, "856" in said.says) == (Level.PASS, False)


@pytest.mark.parametrize(
    "witness",
    [
        {"alphas": (1.01, 1.2, 1.1)},
        {"given": (-1.0, -1.0, -1.0), "promised": (1.0, 1.0, 1.0)},
        {"broke": "the loss"},
        RISING,
    ],
)
def test_each_witness_counts(witness: dict):
    assert level(1.1, **{**FALLING, **witness}) is Level.FAIL


@pytest.mark.parametrize(
    "witness",
    [
        {"alphas": (1.2, 1.1)},
        {"alphas": (1.2, 1.0, 1.2)},
        {"given": (-1.0, 1.0, -1.0), "promised": (1.0, 1.0, 1.0)},
        {"given": (-1.0, -1.0, -1.0), "promised": (-1.0, -1.0, -1.0)},
    ],
)
def test_what_is_not_sustained_does_not(witness: dict):
    assert level(1.1, **{**FALLING, **witness}) is Level.INFO


def test_a_history_is_a_witness_too():
    steps = tuple(range(1, 201))
    late = tuple(1.0 if step < 150 else 1.02 ** (step - 150) for step in steps)
    rising = History(steps=steps, losses=late)
    assert stability(spectrum=spectrum(1.1), history=rising).level is Level.FAIL
    early = History(steps=steps, losses=late[::-1])
    assert stability(spectrum=spectrum(1.1), history=early).level is Level.INFO
    broken = History(steps=(1,), losses=(math.nan,))
    assert stability(spectrum=spectrum(1.1), history=broken).level is Level.FAIL


def test_for_small_batches_the_batch_sharpness_decides():
    sharp = measured({}, {"batch sharpness": 30.0, "2 / rate": 15.0})
    both: dict[str, Any] = {"spectrum": spectrum(0.5, limit=20.0), "sharpness": sharp}
    tried = rehearsed(**RISING)
    found = stability(**both, rehearsal=tried)
    assert (found.level, found.numbers["batch sharpness / limit"]) == (Level.FAIL, 1.5)
    assert stability(**both, rehearsal=tried, full_batch=True).level is Level.WARN
    assert stability(**both, rehearsal=tried, preconditioned=True).level is Level.WARN
    alone = stability(sharpness=sharp, rehearsal=tried)
    assert alone.numbers["batch sharpness / limit"] == 2.0


def test_without_a_limit_steps_convict_only_if_they_break_after_a_rise():
    assert stability(rehearsal=rehearsed(**FALLING)).level is Level.UNKNOWN
    assert stability(rehearsal=rehearsed(**RISING)).level is Level.WARN
    assert stability(rehearsal=rehearsed(**FALLING, broke="the loss")).level is Level.WARN
    assert stability(rehearsal=rehearsed(**RISING, broke="the loss")).level is Level.FAIL
    assert stability().level is Level.UNKNOWN


class Parabola(nn.Module):
    """``½ Σ λᵢθᵢ²`` with λ = 4 the largest."""

    def __init__(self, seed: int):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.theta = nn.Parameter(torch.randn(5, 1, generator=generator))
        self.register_buffer("curvatures", torch.tensor([[4.0], [2.0], [1.0], [0.5], [0.1]]))

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * (self.get_buffer("curvatures") * self.theta.square()).sum() * x


def judged(model: nn.Module, rule: torch.optim.Optimizer, batch, loss, **others) -> Verdict:
    found = hessian_spectrum(model, batch, loss, probes=0, optimiser=rule)
    tried = rehearse(model, batch, loss, rule, seconds=30)
    return stability(spectrum=found, rehearsal=tried, full_batch=True, **others)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("factor", [1.0, 1.9, 1.99, 2.1, 3.0])
def test_a_parabola_is_accused_beyond_two_and_not_below(factor: float, seed: int):
    model, batch = Parabola(seed), (torch.ones(1), None)
    rule = torch.optim.SGD(model.parameters(), lr=factor / 4)
    found = judged(model, rule, batch, lambda output, _: output.mean())
    assert (found.level is Level.FAIL) == (factor > 2), found
    assert found.numbers["curvature / limit"] == pytest.approx(factor / 2, rel=1e-4)
    if factor > 2:
        assert f"{1 / factor * factor / 4 * 2 * 0.5:.4g}" in found.cure  # half of 2/λ


@pytest.mark.parametrize("seed", range(3))
def test_a_network_at_a_usual_rate_is_not_accused_and_at_an_absurd_one_is(seed: int):
    batch = blobs(128, seed=seed)
    for lr, accused in ((0.1, False), (30.0, True)):
        model = perceptron(seed)
        rule = torch.optim.SGD(model.parameters(), lr=lr)
        found = judged(model, rule, batch, None)
        assert (found.level is Level.FAIL) == accused, found


def test_measured_sharpness_fits_the_rule():
    model, batch = perceptron(0), blobs(64, seed=0)
    sharp = batch_sharpness(model, batch, rate=0.1)
    found = stability(sharpness=sharp, rehearsal=rehearsed(**FALLING))
    assert found.numbers["batch sharpness / limit"] == pytest.approx(
        sharp.figures["sharpness · rate / 2"]
    )


def test_sharpness_that_was_measured_with_the_optimiser_stands_against_its_own_limit():
    seen = measured({}, {"batch sharpness": 100.0, "2 / rate": 20.0, "seen / limit": 0.5})
    assert stability(sharpness=seen).numbers["batch sharpness / limit"] == 0.5


def test_of_a_full_batch_the_sharpness_tells_where_the_spectrum_was_not_measured():
    sharp = measured({}, {"batch sharpness": 30.0, "2 / rate": 15.0})
    found = stability(sharpness=sharp, rehearsal=rehearsed(**RISING), full_batch=True)
    assert found.level is Level.FAIL


def test_a_loss_that_a_guard_refused_is_no_witness():
    steps = tuple(range(1, 9))
    refused = History(steps=steps, losses=(*[1.0] * 7, math.nan), skipped=(8,))
    assert stability(spectrum=spectrum(1.1), history=refused).level is not Level.FAIL
