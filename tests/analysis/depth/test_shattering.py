"""Likeness of gradients: the product formula, a simulation, and the two limits of an arc."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from skipwise.analysis import gradient_autocorrelation, shattering
from skipwise.analysis.depth.shattering import plain_likeness, residual_likeness
from skipwise.connections import Additive
from tests.analysis.depth.test_signal import plain
from tests.analysis.models import along, residual_stack


def test_plain_networks_lose_likeness_slower_than_by_halves():
    wanted = {
        1: 0.5,
        2: 0.301558,
        3: 0.200345,
        5: 0.104559,
        10: 0.0336522,
        50: 9.1202e-4,
        100: 1.44122e-4,
    }
    for layers, value in wanted.items():
        assert plain_likeness(layers) == pytest.approx(value, rel=5e-6)


def test_a_quarter_of_units_active_gives_the_papers_laws():
    assert residual_likeness([1.0] * 10, both=0.25) == pytest.approx(0.75**10, rel=1e-12)
    slow = [
        residual_likeness([1 / (n + 1) for n in range(blocks)], both=0.25) for blocks in (100, 400)
    ]
    assert slow[0] / slow[1] == pytest.approx(2, rel=0.02)  # as 1/√L


@pytest.mark.parametrize("skip", [False, True])
def test_measured_likeness_is_explained_by_measured_co_activation(skip: bool):
    ratios, explained = [], []
    for seed in range(24):
        model = residual_stack(256, 4, Additive(), seed) if skip else plain(256, 4, seed)
        x = torch.randn(6, 256, generator=torch.Generator().manual_seed(1000 + seed))
        found = shattering(model, (x, x), along)
        theory = found.theories[0]
        assert theory.holds
        ratios.append(found["gradient cosine"][0] / theory.values[0])
        explained.append(theory.values[0])
    closed = residual_likeness([1.0] * 4) if skip else plain_likeness(4)
    assert abs(np.mean(explained) - closed) < 5 * np.std(explained, ddof=1) / math.sqrt(24)
    error = np.std(ratios, ddof=1) / math.sqrt(24)
    assert abs(np.mean(ratios) - 1) < 5 * error
    assert error < 0.1


def test_the_cosines_are_those_of_a_loop_by_hand():
    model = plain(16, 3, 0).double()
    x = torch.randn(3, 16, dtype=torch.float64)
    found = shattering(model, (x, x), along)
    hidden = torch.relu(x @ model[0][0].weight.T)  # pyright: ignore
    unit = nn.functional.normalize(hidden, dim=1)
    pairs = (unit @ unit.T)[np.triu_indices(3, 1)]
    assert found["stream cosine"][1] == pytest.approx(pairs.mean().item(), rel=1e-12)
    both = [(hidden[i] > 0) & (hidden[j] > 0) for i, j in zip(*np.triu_indices(3, 1), strict=True)]
    one = (hidden > 0).double().mean()
    factor = torch.stack(both).double().mean() / one
    assert found["factor"][0] == pytest.approx(factor.item(), rel=1e-12)
    assert found["gradient cosine"][-1] == pytest.approx(1, rel=1e-12)


def test_a_skip_keeps_gradients_alike():
    x = torch.randn(8, 256, generator=torch.Generator().manual_seed(1000))
    deep = shattering(plain(256, 20, 0), (x, x), along)["gradient cosine"][0]
    skips = shattering(residual_stack(256, 20, Additive(scale=20**-0.5)), (x, x), along)
    assert skips["gradient cosine"][0] > 0.5 > 2 * abs(deep)


def test_along_an_arc_a_linear_network_is_one_and_a_deep_plain_one_is_rougher_than_a_residual():
    first, last = torch.randn(2, 64, dtype=torch.float64).unbind()
    linear = gradient_autocorrelation(nn.Linear(64, 64).double(), first, last)
    assert linear["autocorrelation"] == (1.0,) * 16
    rough = gradient_autocorrelation(plain(64, 24, 0).double(), first, last)["autocorrelation"]
    model = residual_stack(64, 24, Additive(scale=24**-0.5)).double()
    smooth = gradient_autocorrelation(model, first, last)["autocorrelation"]
    assert rough[0] == pytest.approx(1, rel=1e-12)
    assert smooth[15] > rough[15] + 0.1


def test_one_layer_of_relu_is_piecewise_constant():
    model = plain(4, 1, 0).double()
    first, last = torch.eye(4, dtype=torch.float64)[:2].unbind()
    values = gradient_autocorrelation(model, first, last, points=64)["autocorrelation"]
    assert values[1] > 0.9
    with pytest.raises(ValueError, match="points must be more than 16, got 3"):
        gradient_autocorrelation(model, first, last, points=3)
