"""V3, at its borders and on real networks."""

import math

import pytest
import torch

from skipwise.analysis import scale_invariant_weights
from skipwise.analysis.state import equilibrium_rotation
from skipwise.diagnosis import Level, rehearse
from skipwise.diagnosis.rules import rate
from tests.diagnosis.rules.training.made import NAN, blobs, moved, perceptron, rehearsed


def level(*weights, **others) -> Level:
    return rate(rehearsal=rehearsed(*weights), **others).level


def test_the_borders_are_a_decade_around_one_thousandth():
    assert level(moved(1e-4)) is level(moved(1e-2)) is Level.PASS
    assert level(moved(math.nextafter(1e-4, 0))) is Level.WARN
    assert level(moved(math.nextafter(1e-2, 1))) is Level.WARN


def test_the_median_over_weights_decides_and_the_worst_are_named():
    found = rate(rehearsal=rehearsed(moved(1e-3), moved(0.5), moved(0.02)))
    assert (found.level, found.where) == (Level.WARN, ("w1", "w2")), found
    assert found.numbers["update / weight"] == 0.02
    assert level(moved(1e-3), moved(1e-3), moved(9.0)) is Level.PASS


def test_weights_that_do_not_move_at_all_are_told():
    found = rate(rehearsal=rehearsed(moved(0.0), moved(0.0), moved(1e-3)))
    assert (found.level, found.where) == (Level.WARN, ("w0", "w1")), found


def test_biases_and_what_starts_at_zero_do_not_count():
    odd = (moved(9.0, dimensions=1), moved(9.0, length=0.0), moved(NAN))
    assert level(*odd, moved(1e-3)) is Level.PASS
    assert level(*odd) is Level.UNKNOWN


@pytest.mark.parametrize(("factor", "expected"), [(3.01, "WARN"), (2.99, "PASS")])
def test_a_scale_invariant_weight_is_held_against_its_equilibrium(factor: float, expected: str):
    middle = equilibrium_rotation(0.1, 5e-4, 0.9)
    group = {"rate": 0.1, "decay": 5e-4, "momentum": 0.9}
    for ratio in (middle * factor, middle / factor):
        weights = (moved(ratio, **group), moved(ratio, **group), moved(1e-3))
        settled = {"invariant": ("w0", "w1"), "trained_steps": 10_000}
        assert level(*weights, **settled) is Level[expected]


def test_before_equilibrium_only_small_steps_are_told():
    group = {"rate": 0.1, "decay": 5e-4, "momentum": 0.9}
    weights = {"invariant": ("w0",), "trained_steps": 9_999}
    assert level(moved(0.5, **group), **weights) is Level.PASS
    assert level(moved(9e-5, **group), **weights) is Level.WARN
    assert level(moved(0.5, **group), invariant=("w0",)) is Level.PASS  # steps are not known
    adam = moved(0.5, decay=NAN, momentum=NAN)
    assert level(adam, invariant=("w0",), trained_steps=10**9) is Level.PASS


def test_the_larger_family_decides():
    high, fine = moved(0.5), moved(1e-3)
    assert level(high, fine, fine, invariant=("w1", "w2")) is Level.PASS
    assert level(high, high, fine, invariant=("w2",)) is Level.WARN
    assert level(high, fine, invariant=("w1",)) is Level.WARN  # as many: the ordinary ones


def test_where_the_family_was_not_measured_only_small_steps_are_told():
    found = rate(rehearsal=rehearsed(moved(0.5)), invariant=None)
    assert found.level is Level.PASS
    assert "was not measured" in found.reference
    assert level(moved(9e-5), invariant=None) is Level.WARN


def test_a_small_step_far_below_the_peak_is_meant_and_a_large_one_is_not():
    assert level(moved(1e-6), peak_rate=1.0) is Level.INFO  # a tenth of it exactly
    assert level(moved(1e-6), peak_rate=0.99) is Level.WARN
    assert level(moved(0.5), peak_rate=1.0) is Level.WARN


def test_what_was_not_measured_is_unknown():
    assert rate().level is Level.UNKNOWN
    short = rate(rehearsal=rehearsed(moved(1e-3), losses=(1.0,) * 4))
    assert short.level is Level.UNKNOWN
    assert "rehearsed: 4; 5 are needed" in short.says
    assert "the loss was not finite" in rate(rehearsal=rehearsed(broke="the loss")).says


@pytest.mark.parametrize("seed", range(3))
def test_adam_with_a_usual_rate_passes_and_with_others_does_not(seed: int):
    found = []
    for lr in (1e-6, 1e-3, 0.3):
        model = perceptron(seed)
        rule = torch.optim.Adam(model.parameters(), lr=lr)
        found.append(rate(rehearsal=rehearse(model, blobs(64, seed=seed), None, rule)))
    assert [verdict.level.value for verdict in found] == ["WARN", "PASS", "WARN"], found
    assert "learns slowly" in found[0].says
    assert "forgets quickly" in found[2].says


@pytest.mark.parametrize("seed", range(3))
def test_a_network_with_norms_is_not_accused_at_the_classic_rate(seed: int):
    model, batch = perceptron(seed, norms=True), blobs(64, seed=seed)
    del model[3]  # what is left is scale-invariant
    invariant = scale_invariant_weights(model, batch)
    assert invariant == ("0.weight",)
    rule = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    found = rate(rehearsal=rehearse(model, batch, None, rule), invariant=invariant)
    assert found.level is Level.PASS, found
