"""Residual blocks bent by tanh follow their recursion, with the network's own weights."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor, nn

from skipwise.analysis import Measurement, signal
from skipwise.connections import Additive
from skipwise.networks import Residual
from tests.analysis.depth.test_signal import holds_in_the_mean, theory
from tests.analysis.models import Stack, along


def bent(width: int, blocks: int, seed: int, *, biases: float = 0.3, scale: float = 1.0):
    """Blocks ``x + α·(V·tanh(W·x + b) + a)`` of sw² = 1.5, sv² = 0.8 and these biases."""
    torch.manual_seed(seed)
    made = []
    for _ in range(blocks):
        maps = nn.Linear(width, width), nn.Linear(width, width)
        for each, gain in zip(maps, (1.5, 0.8), strict=True):
            nn.init.normal_(each.weight, std=math.sqrt(gain / width))
            nn.init.normal_(each.bias, std=biases)
        made.append(Residual(nn.Sequential(maps[0], nn.Tanh(), maps[1]), Additive(scale=scale)))
    return Stack(*made)


def look(model: nn.Module, width: int, examples: int = 2, seed: int = 7) -> Measurement:
    noise = torch.Generator().manual_seed(seed)
    x, direction = torch.randn(2, examples, width, generator=noise)
    return signal(model, (x, direction), along)


def mean(function, variance: float) -> float:
    found, _ = quad(lambda z: function(math.sqrt(variance) * z) * norm.pdf(z), -12, 12)
    return found


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_curves_are_the_recursion_with_the_weights_by_hand(scale: float):
    model = bent(16, 5, 0, scale=scale)
    found = look(model, 16)
    p, factors = found["second moment"][0], []
    for number, block in enumerate(model.get_submodule("blocks").children()):
        names = (f"branch.{name}" for name in ("0.weight", "0.bias", "2.weight", "2.bias"))
        numbers = [block.get_parameter(name).detach().double().numpy() for name in names]
        inner, inner_bias, outer, outer_bias = ((n**2).sum() / 16 for n in numbers)
        q = inner * p + inner_bias
        factors.append(1 + scale**2 * outer * inner * mean(lambda z: (1 - np.tanh(z) ** 2) ** 2, q))
        p += scale**2 * (outer * mean(lambda z: np.tanh(z) ** 2, q) + outer_bias)
        moment = theory(found, "second moment").values[number + 1]
        assert moment == pytest.approx(p, rel=1e-6)  # of weights in float32
    for row in range(6):
        wanted = found["gradient norm"][-1] * math.sqrt(math.prod(factors[row:]))
        assert theory(found, "gradient norm").values[row] == pytest.approx(wanted, rel=1e-6)


def test_networks_follow_it_in_the_mean():
    holds_in_the_mean(lambda seed: bent(256, 4, seed))


def test_the_band_lies_around_single_networks():
    found: dict[str, list[float]] = {"second moment": [], "gradient norm": []}
    for seed in range(100):
        measured = look(bent(32, 6, seed), 32, examples=1, seed=1000 + seed)
        for column, offsets in found.items():
            expected, row = theory(measured, column), -1 if column == "second moment" else 0
            low, high = math.log(expected.low[row]), math.log(expected.high[row])
            offset = math.log(measured[column][row]) - (low + high) / 2
            offsets.append(offset / (high - low) * 4)
    for offsets in found.values():
        assert abs(np.mean(offsets)) < 5 / math.sqrt(100)
        assert np.std(offsets) == pytest.approx(1, abs=5 / math.sqrt(200))


class Late(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch = nn.Sequential(nn.Tanh(), nn.Linear(16, 16), nn.Linear(16, 16))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def test_a_tanh_that_stands_elsewhere_is_not_taken_for_one_between_matrices():
    found = look(Stack(*(Late() for _ in range(3))), 16)
    assert {t.name for t in found.theories} == {"residual"}
    assert not theory(found, "gradient norm").holds
