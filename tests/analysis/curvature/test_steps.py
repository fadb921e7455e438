"""Sharpness along the gradient, the position of a step, and what it promised."""

import pytest
import torch

from skipwise.analysis import batch_sharpness, step_quality, weights_of
from skipwise.analysis.curvature import Along, step_position
from tests.analysis.curvature.problems import (
    drawn,
    half_squares,
    linear,
    small_batch,
    small_network,
)


def least_squares(seed: int):
    """Give a batch with the gradient at zero and the Hessian of its least squares."""
    inputs, targets = drawn(16, 5, seed=seed), drawn(16, 1, seed=seed + 100)
    return (inputs, targets), (-inputs.mT @ targets / 16)[:, 0], inputs.mT @ inputs / 16


def along(gradient: torch.Tensor, matrix: torch.Tensor) -> float:
    return (gradient @ matrix @ gradient / gradient.square().sum()).item()


def test_batch_sharpness_uses_each_batch_for_gradient_and_hessian():
    parts = [least_squares(seed) for seed in range(3)]
    expected = [along(gradient, matrix) for _, gradient, matrix in parts]
    found = batch_sharpness(linear(5), [batch for batch, *_ in parts], half_squares, rate=0.5)
    assert found["sharpness"] == pytest.approx(expected, rel=1e-10)
    assert found["alpha"] == pytest.approx([0.5 * value - 1 for value in expected], rel=1e-10)
    assert found.figures["batch sharpness"] == pytest.approx(sum(expected) / 3, rel=1e-10)
    assert found.figures["2 / rate"] == 4.0


@pytest.mark.parametrize("rate", [0.1, 0.7, 3.0])
def test_on_a_parabola_a_step_keeps_its_promise_and_alpha_is_known(rate: float):
    batch, gradient, matrix = least_squares(0)
    model = linear(5)
    before = weights_of(model)
    after = {"weight": before["weight"] - rate * gradient}
    found = step_quality(model, batch, half_squares, before=before, after=after)
    assert found["given / promised"][0] == pytest.approx(1, rel=1e-9)
    assert found["alpha"][0] == pytest.approx(rate * along(gradient, matrix) - 1, rel=1e-9)
    assert found["curvature along it"][0] == pytest.approx(along(gradient, matrix), rel=1e-9)
    assert torch.equal(model.weight, before["weight"])


@pytest.mark.parametrize(
    ("end", "position"),
    [(0.01, -0.99), (1.0, 0.0), (2.0, 1.0), (3.0, 2.0), (-1.0, -2.0)],
)
def test_a_step_is_placed_on_its_parabola(end: float, position: float):
    # f(s) = (s − 1)², from 0 to the end: the valley is 1, the other wall 2.
    along = Along(
        before=1.0, after=(end - 1) ** 2, slope_before=-2 * end, slope_after=2 * (end - 1) * end
    )
    assert step_position(along) == pytest.approx(position, abs=1e-12)


def test_where_the_loss_bends_down_there_is_no_valley():
    assert step_position(Along(before=0, after=-2, slope_before=-1, slope_after=-3)) == -1.0


def test_a_step_of_a_network_is_compared_in_training_mode():
    model, batch = small_network(), small_batch()
    before = weights_of(model)
    torch.nn.functional.cross_entropy(model(batch[0]), batch[1]).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.sub_(1e-3 * (0 if parameter.grad is None else parameter.grad))
    found = step_quality(model, batch, before=before)
    assert found["given / promised"][0] == pytest.approx(1, rel=1e-3)
    assert found["promised"][0] > 0


def test_what_is_wrong_is_said():
    model, batch = linear(5), least_squares(0)[0]
    with pytest.raises(ValueError, match="before and after the step are equal"):
        step_quality(model, batch, half_squares, before=weights_of(model))
    with pytest.raises(ValueError, match=r"the shape \(1, 5\) in the model and \(1, 4\)"):
        step_quality(model, batch, half_squares, before=weights_of(linear(4)))
    with pytest.raises(ValueError, match="rate must be positive, got -1"):
        batch_sharpness(model, batch, half_squares, rate=-1)
    zeros = torch.zeros(4, 5, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match="the gradient of batch 0 is zero"):
        batch_sharpness(model, zeros, half_squares)
