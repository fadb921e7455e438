"""Bands hold the networks that they say they hold, by simulation."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis import signal
from skipwise.analysis.depth.meanfield import rectified_sums
from skipwise.analysis.depth.theory.expectations import expectations
from skipwise.analysis.depth.theory.stage import Layer, Stage, Step
from tests.analysis.depth.test_signal import layer, plain, theory
from tests.analysis.models import Stack, along, residual_stack

WIDTH, DEPTH = 64, 32
WITHIN = math.erf(2 / math.sqrt(2))  # two standard deviations: 95.4 %


def he(width: int, gain: float, *, skip: bool) -> Step:
    layers = tuple(
        Layer(weights=w, biases=0.0, width=width) for w in ((2.0, 1.0) if skip else (2.0,))
    )
    return Step(
        skip=skip, gain=gain, norms=0, other_norms=(), bends=("ReLU",), layers=layers, after=(),
        ends=skip,
    )  # fmt: skip


def band(gains: list[float], *, skip: bool) -> tuple[float, float]:
    """Give the band of log q behind the last block, for q = 1 before the first."""
    ends = (1.0,) * (len(gains) + 1)
    steps = tuple(he(WIDTH, gain, skip=skip) for gain in gains)
    stage = Stage(steps=steps, moment=ends, variance=ends, correlation=ends, gradient=ends)
    found = next(t for t in expectations(stage) if t.column == "second moment")
    assert found.holds
    return math.log(found.low[-1]), math.log(found.high[-1])


def relu_layer(x: np.ndarray, noise: np.random.Generator) -> np.ndarray:
    """Pass every network's stream through a He layer; only its length decides what comes out."""
    size = np.sqrt(2 * np.square(x).mean(1, keepdims=True))
    return np.maximum(noise.normal(size=x.shape) * size, 0)


def test_the_band_of_plain_networks_holds_as_many_as_it_says_on_both_sides():
    noise, networks = np.random.default_rng(0), 4000
    x = np.ones((networks, WIDTH))
    for _ in range(DEPTH):
        x = relu_layer(x, noise)
    logs = np.log(np.square(x).mean(1))
    low, high = band([0.0] * DEPTH, skip=False)
    assert np.mean((low < logs) & (logs < high)) == pytest.approx(WITHIN, abs=0.017)  # 5 errors
    assert min(np.mean(logs < low), np.mean(logs > high)) > 0.009  # 10 % of the mass, and not all


def test_the_band_of_residual_networks_is_that_of_what_their_gains_leave_open():
    noise, networks, blocks = np.random.default_rng(0), 1000, 12
    x, gains = np.ones((networks, WIDTH)), []
    for _ in range(blocks):
        hidden = np.square(relu_layer(x, noise)).mean(1, keepdims=True)
        written = noise.normal(size=x.shape) * np.sqrt(hidden)
        gains.append(np.square(written).mean(1) / np.square(x).mean(1))
        x = x + written
    logs = np.log(np.square(x).mean(1))
    bands = np.array([band(each, skip=True) for each in np.stack(gains, 1).tolist()])
    inside = (bands[:, 0] < logs) & (logs < bands[:, 1])
    assert np.mean(inside) == pytest.approx(WITHIN, abs=0.034)  # 5 errors
    middle = (logs - bands.mean(1)) / (bands[:, 1] - bands[:, 0]) * 4
    assert abs(middle.mean()) < 5 * middle.std() / math.sqrt(networks)


@pytest.mark.parametrize(
    "make",
    [lambda seed: plain(32, 16, seed), lambda seed: residual_stack(32, 8, seed=seed)],
    ids=["plain", "residual"],
)
def test_the_band_of_gradients_lies_around_those_of_networks(make: Callable):
    found = []
    for seed in range(80):
        noise = torch.Generator().manual_seed(1000 + seed)
        x, direction = torch.randn(2, 1, 32, generator=noise)
        measured = signal(make(seed), (x, direction), along)
        expected, here = theory(measured, "gradient norm"), measured["gradient norm"][0]
        low, high = math.log(expected.low[0]), math.log(expected.high[0])
        found.append((math.log(here) - (low + high) / 2) / (high - low) * 4)
    assert abs(np.mean(found)) < 5 / math.sqrt(80)
    assert np.std(found) == pytest.approx(1, abs=5 / math.sqrt(160))


def test_sums_that_pass_a_relu_follow_a_simulated_walk():
    noise, size, added = np.random.default_rng(0), 400_000, [1.0, 0.5, 2.0, 1e-9, 1.0]
    x = np.maximum(noise.normal(size=size), 0)
    found = rectified_sums(0.5, added)
    for variance, moment in zip([0.0, *added], found, strict=True):
        x = np.maximum(x + math.sqrt(variance) * noise.normal(size=size), 0)
        error = float(np.std(x**2)) / math.sqrt(size)
        assert moment == pytest.approx(np.mean(x**2), abs=5 * error)
    assert all(q <= 0.5 + sum(added[:n]) for n, q in enumerate(found))


class Original(nn.Module):
    """``ReLU(x + BN(W₂·ReLU(BN(W₁·x))))``, the block of the first residual networks."""

    def __init__(self, width: int):
        super().__init__()
        norms = (nn.BatchNorm1d(width), nn.BatchNorm1d(width))
        self.inner = nn.Sequential(layer(width), norms[0], nn.ReLU(), layer(width), norms[1])

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.inner(x))


def test_the_original_residual_network_follows_the_recursion_below_its_bound():
    torch.manual_seed(0)
    model, x = Stack(*(Original(128) for _ in range(8))), torch.relu(torch.randn(128, 128))
    found = signal(model, (x, torch.randn(128, 128)), along, sites="blocks.*")
    expected = next(t for t in found.theories if "after the sum" in t.name)
    assert expected.holds
    np.testing.assert_allclose(found["second moment"], expected.values, rtol=0.05)
    assert expected.values[-1] < 0.95 * (0.5 + 8)
