"""Signal and noise of a gradient, where both are known."""

import math

import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis import gradient_noise
from skipwise.analysis.curvature import noise_from_products, noise_scale, signal_to_noise
from tests.analysis.curvature.problems import drawn, half_squares, linear


class Mean(nn.Module):
    """An estimate of a mean: the gradient of ½E‖θ − x‖² at θ = 0 is −x̄."""

    def __init__(self, features: int):
        super().__init__()
        self.estimate = nn.Parameter(torch.zeros(features, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.estimate - x


def half_norm(output: Tensor, _: Tensor | None) -> Tensor:
    return output.square().sum() / (2 * len(output))


def samples(batches: int, size: int) -> Tensor:
    """N(μ, 2·I₅₀) with ‖μ‖² = 1: squared signal 1, noise 100, scale 100."""
    return drawn(batches, size, 50) * math.sqrt(2) + 1 / math.sqrt(50)


def test_the_noise_scale_of_estimating_a_mean_is_known():
    model, data = Mean(50), samples(400, 20)
    found = gradient_noise(model, [(batch, None) for batch in data], half_norm).figures
    assert abs(found["noise scale"] - 100) < 5 * found["standard error"]
    assert found["standard error"] < 10
    assert found["squared signal"] == pytest.approx(1, rel=0.15)
    assert found["noise of one example"] == pytest.approx(100, rel=0.03)
    assert found["examples in a batch"] == 20


def test_signal_and_noise_come_back_from_their_squared_norms():
    signal, noise = 3.0, 40.0
    squares = [signal + noise / size for size in (8, 64)]
    assert noise_scale(*squares, small=8, big=64) == pytest.approx((signal, noise))


def test_the_products_hold_what_the_formula_of_two_sizes_needs():
    gradients = drawn(6, 9)
    found = noise_from_products(gradients @ gradients.mT, 4)
    small = gradients.square().sum(1).mean().item()
    big = gradients.mean(0).square().sum().item()
    expected = noise_scale(small, big, small=4, big=24)
    assert (found.signal.value, found.noise.value) == pytest.approx(expected)


def test_without_a_signal_the_scale_is_below_noise():
    data = drawn(4, 5, 50, seed=1)
    data -= data.mean((0, 1))
    found = gradient_noise(Mean(50), [(batch, None) for batch in data], half_norm)
    assert found.figures["squared signal"] < 0
    assert math.isnan(found.figures["noise scale"])
    assert found.notes[0].startswith("below noise")


def test_the_ratio_of_signal_to_noise_has_no_bias():
    # Mean 0.5, variance 2 of one example: 0.125; batches of 5, eight of them, 4000 parameters.
    gradients = 0.5 + math.sqrt(2 / 5) * drawn(8, 4000, seed=2)
    ratios = signal_to_noise(gradients, 5)
    error = ratios.std().item() / math.sqrt(len(ratios))
    assert abs(ratios.mean().item() - 0.125) < 5 * error
    assert error < 0.005


def test_what_does_not_vary_has_no_ratio():
    assert math.isnan(signal_to_noise(torch.ones(4, 1), 1).item())


def test_gradients_of_orthogonal_inputs_do_not_confuse_each_other():
    rows = 3 * torch.eye(6, dtype=torch.float64)
    batches = [(row[None], drawn(1, 1, seed=n)) for n, row in enumerate(rows)]
    found = gradient_noise(linear(6), batches, half_squares).figures
    assert found["confusion"] == 0.0
    assert found["lowest cosine"] == 0.0


def test_gradients_against_each_other_do():
    products = torch.tensor([[4.0, -3.0], [-3.0, 9.0]], dtype=torch.float64)
    found = noise_from_products(products, 1)
    assert (found.confusion, found.lowest_cosine) == (3.0, -0.5)


def test_what_is_wrong_is_said():
    data = samples(4, 5)
    with pytest.raises(ValueError, match="between four batches or more, got 1"):
        gradient_noise(Mean(50), (data[0], None), half_norm)
    uneven = [(data[0], None), (data[1], None), (data[2], None), (data[3, :2], None)]
    with pytest.raises(ValueError, match="all batches must have one size"):
        gradient_noise(Mean(50), uneven, half_norm)
    with pytest.raises(ValueError, match="got 8 and 8"):
        noise_scale(1, 1, small=8, big=8)
    with pytest.raises(ValueError, match="needs four batches or more, got 3"):
        signal_to_noise(torch.ones(3, 2), 1)
