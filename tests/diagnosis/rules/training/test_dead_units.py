"""V5, at its borders and on real networks."""

import pytest
import torch

from skipwise.analysis import units
from skipwise.analysis.state import firing_bound
from skipwise.diagnosis import Level
from skipwise.diagnosis.rules import dead_units
from tests.diagnosis.rules.training.made import NAN, blobs, measured, perceptron, pieces


def counted(*shares: float, examples: int = 1000):
    figures = {
        "examples": float(examples),
        "dead": 1.0,
        "of units": 10.0,
        "a dead unit fires at most": firing_bound(examples),
    }
    return measured({"dead": shares}, figures)


def level(*shares: float, examples: int = 1000, **guards) -> Level:
    return dead_units(units=counted(*shares, examples=examples), **guards).level


def test_the_borders_are_a_fifth_and_a_half_of_a_layer():
    assert level(0.2, 0.0) is Level.PASS
    assert level(0.21, 0.0) is level(0.5) is Level.WARN
    found = dead_units(units=counted(0.0, 0.51, 0.9))
    assert (found.level, found.where) == (Level.FAIL, ("row 2", "row 1"))
    assert found.numbers["a dead unit fires at most"] < 3 / 1000


def test_fewer_than_a_thousand_examples_pass_but_do_not_accuse():
    assert level(0.2, examples=10) is Level.PASS
    assert level(0.21, examples=999) is level(0.99, examples=999) is Level.UNKNOWN
    assert level(1.0, examples=100) is Level.FAIL
    assert level(1.0, examples=99) is Level.UNKNOWN


def test_every_guard_keeps_it_from_accusing():
    assert level(1.0, 0.0, zero_gamma=["row 0"]) is Level.INFO
    assert level(0.9, 0.0, zero_gamma=["row 0"]) is Level.FAIL  # some of it fires
    assert level(0.9, 0.0, after_sum=["row 0"]) is Level.INFO
    assert level(1.0, 0.0, after_sum=["row 0"]) is Level.FAIL
    assert level(NAN, 0.1) is level(NAN) is Level.PASS
    assert dead_units().level is Level.UNKNOWN


@pytest.mark.parametrize("seed", range(3))
def test_a_bias_of_minus_ten_is_accused_and_none_is_not(seed: int):
    batches = pieces(blobs(1000, seed=seed), 250)
    healthy = perceptron(seed)
    assert dead_units(units=units(healthy, batches)).level is Level.PASS
    for count, expected in ((64, Level.FAIL), (33, Level.FAIL), (20, Level.WARN), (12, Level.PASS)):
        model = perceptron(seed)
        with torch.no_grad():
            model.get_parameter("0.bias")[:count] = -100
        found = dead_units(units=units(model, batches))
        assert found.level is expected, found


def test_a_norm_whose_scale_is_zero_is_silent_by_design():
    model = perceptron(0, norms=True)
    torch.nn.init.zeros_(model.get_parameter("1.weight"))
    found = units(model, blobs(200, seed=0))
    assert dead_units(units=found).level is Level.FAIL
    assert dead_units(units=found, zero_gamma=found.rows).level is Level.INFO
