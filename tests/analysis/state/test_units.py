"""Dead and dormant units, planted and counted by hand."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from skipwise.analysis import units
from skipwise.analysis.state import firing_bound, silenced_probability


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def perceptron(bias: float = 0.0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 10), nn.ReLU(inplace=True), nn.Linear(10, 2))
    nn.init.constant_(model.get_parameter("0.bias"), bias)
    return model


def test_a_large_negative_bias_kills_every_unit_and_a_positive_one_none():
    batch = drawn(50, 6), None
    assert units(perceptron(-10.0), batch)["dead"] == (1.0,)
    assert units(perceptron(-10.0), batch)["dormant"] == (1.0,)
    assert units(perceptron(10.0), batch)["fires"] == (1.0,)


def test_dead_and_dormant_units_are_those_of_a_count_by_hand():
    model, (inputs, _) = perceptron(), (drawn(40, 6), None)
    with torch.no_grad():
        model.get_parameter("0.bias")[:3] = -10
        model.get_parameter("0.weight")[3] *= 1e-3
        hidden = model[:2](inputs)
    scores = hidden.mean(0) / hidden.mean()
    found = units(model, [(inputs[:10], None), (inputs[10:], None)])
    assert found.rows == ("1",)
    assert found["dead"] == (0.3,)
    assert found["dormant"] == (0.4,)
    assert (scores <= 0.025).sum().item() == 4
    assert found["fires"][0] == pytest.approx((hidden > 0).float().mean().item())
    assert found.figures["dead"] == 3
    assert found.figures["of units"] == 10


class Functional(nn.Module):
    """One convolution, three activations, none of them a module; units are channels, then last."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(2, 4, 3)
        self.linear = nn.Linear(4, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu_(self.convolution(x))
        x = functional.relu6(self.linear(x.movedim(1, -1)))
        return functional.gelu(x)


def test_activations_are_seen_where_they_are_computed():
    model = Functional()
    nn.init.constant_(model.get_parameter("convolution.bias"), -100.0)
    found = units(model, (drawn(5, 2, 6, 6), None))
    assert found.rows == ("the model", "the model (2)", "the model (3)")
    assert found["units"] == (4.0, 7.0, 7.0)
    assert found["dead"][0] == 1.0
    assert math.isnan(found["dead"][2])


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.relu = nn.Linear(3, 3), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.inner(self.relu(x)))


def test_a_module_that_is_used_twice_is_told_apart():
    found = units(nn.Sequential(Twice(), nn.Identity()), (-drawn(9, 3).abs(), None))
    assert found.rows == ("0.relu", "0.relu (2)")
    assert found["dead"][0] == 1.0


def test_a_transformers_layer_hides_nothing():
    layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
    found = units(layer, (drawn(4, 5, 8), None))
    assert found["units"] == (16.0,)


def test_a_clamp_that_does_not_end_at_zero_is_not_dead():
    model = nn.Sequential(nn.Linear(2, 2), nn.Hardtanh(), nn.Hardtanh(0, 1))
    nn.init.constant_(model.get_parameter("0.bias"), -100.0)
    found = units(model, (drawn(5, 2), None))
    assert math.isnan(found["dead"][0])
    assert found["dead"][1] == 1.0


def test_the_certificate_is_three_over_n():
    for examples in (10, 1000, 100000):
        bound = firing_bound(examples)
        assert (1 - bound) ** examples == pytest.approx(0.05)
        assert 0.85 * 3 / examples < bound < 3 / examples


@pytest.mark.parametrize(
    ("width", "probability"), [(2, 0.9437), (3, 0.7369), (5, 0.2720), (10, 0.0097)]
)
def test_how_often_a_whole_layer_is_off_at_the_start(width: int, probability: float):
    assert silenced_probability(width, 10) == pytest.approx(probability, abs=5e-5)
    states = drawn(20000, width, seed=width)
    off = torch.zeros(20000, dtype=torch.bool)
    for layer in range(10):
        weights = drawn(20000, width, width, seed=100 * width + layer)
        states = torch.relu(torch.einsum("nij,nj->ni", weights, states))
        off |= ~(states > 0).any(1)
    error = math.sqrt(probability * (1 - probability) / 20000)
    assert abs(off.double().mean().item() - probability) < 5 * error


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="Linear computes no activation that is known"):
        units(nn.Linear(2, 2), (drawn(3, 2), None))
    with pytest.raises(ValueError, match="nothing can be said from no example"):
        firing_bound(0)
