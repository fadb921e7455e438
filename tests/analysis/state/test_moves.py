"""BatchNorm's statistics against the population, and how far weights move."""

import math

import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis import (
    equilibrium_rotation,
    layer_rotation,
    normalisation,
    scale_invariant_weights,
    update_sizes,
    weights_of,
)
from skipwise.analysis.state import rotation, settled
from tests.analysis.curvature.problems import norms, small_batch, small_network


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("steps", [1, 7, 200])
def test_running_statistics_fed_one_batch_have_a_closed_form(steps: int):
    inputs = 3 * drawn(16, 4) + 2
    norm = nn.BatchNorm1d(4, momentum=0.1, dtype=torch.float64)
    for _ in range(steps):
        norm(inputs)
    left = 0.9**steps
    deviation, variance = inputs.std(0), inputs.var(0)
    found = normalisation(norm, (inputs, None), lambda output, _: output.square().mean())
    shift = (left * inputs.mean(0) / deviation).abs().median().item()
    ratio = ((1 - left) + left / variance).median().item()
    assert found["shift"][0] == pytest.approx(shift, rel=1e-9)
    assert found["variance ratio"][0] == pytest.approx(ratio, rel=1e-9)
    assert found["settled"][0] == settled(0.1, steps) == pytest.approx(1 - left)


def test_the_population_is_that_of_all_batches_in_training_mode():
    model = small_network()
    batches = [small_batch(seed=1), small_batch(seed=2, size=4)]
    found = normalisation(model, batches)
    with torch.no_grad():
        entering = [model[3](model[:3](inputs)) for inputs, _ in batches]
    rows = torch.cat([each.movedim(1, -1).reshape(-1, 2) for each in entering])
    expected = 1 / rows.var(0)  # the stored variance starts at 1
    assert found.rows == ("1", "4")
    assert found["variance ratio"][1] == pytest.approx(expected.median().item(), rel=1e-9)
    assert found["settled"] == (0.0, 0.0)


def test_channels_that_hardly_vary_are_counted():
    norm, inputs = nn.BatchNorm1d(4, dtype=torch.float64), drawn(20, 4)
    inputs[:, 0] *= 1e-4
    found = normalisation(norm, (inputs, None), lambda output, _: output.square().mean())
    assert found["narrow"] == (0.25,)


def test_the_gap_between_the_modes_is_that_of_the_losses():
    model, (inputs, classes) = small_network(), small_batch()
    found = normalisation(model, (inputs, classes)).figures
    loss = nn.functional.cross_entropy
    training = loss(small_network()(inputs), classes).item()
    evaluating = loss(small_network().eval()(inputs), classes).item()
    assert found["loss in training mode"] == pytest.approx(training, rel=1e-12)
    assert found["loss in evaluation mode"] == pytest.approx(evaluating, rel=1e-12)
    assert found["relative gap"] == pytest.approx(evaluating / training - 1, rel=1e-9)


def test_the_update_is_the_one_that_was_made_whatever_the_rule():
    model, (inputs, classes) = small_network(), small_batch()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    before = weights_of(model)
    nn.functional.cross_entropy(model(inputs), classes).backward()
    optimiser.step()
    found = update_sizes(before, model.state_dict(), model=model)
    change = model.get_parameter("0.weight").detach() - before["0.weight"]
    assert "1.running_mean" not in found.rows
    assert found["update / weight"][0] == pytest.approx((change.norm() / found["weight"][0]).item())
    assert change.abs().max().item() == pytest.approx(0.01, rel=1e-3)  # Adam's first step
    assert math.isnan(found["update / weight"][found.rows.index("1.bias")])


def test_rotation_is_free_of_scale():
    one = torch.tensor([[2.0, 0.0]])
    assert rotation(one, 5 * one) == pytest.approx(0, abs=1e-15)
    assert rotation(one, torch.tensor([[0.0, 3.0]])) == pytest.approx(1)
    assert rotation(one, -one) == pytest.approx(2)
    found = layer_rotation({"w": one, "b": one[0]}, {"w": -one, "b": one[0]})
    assert found.rows == ("w",)
    assert found["rotation"] == (2.0,)


def angles(rate: float, decay: float, momentum: float) -> list[float]:
    """Turn a scale-invariant weight under noise until it settles; give 500 angles of a step."""
    weight = nn.Parameter(drawn(2000))
    optimiser = torch.optim.SGD([weight], lr=rate, momentum=momentum, weight_decay=decay)
    noise, found = torch.Generator().manual_seed(1), []
    for step in range(2000):
        before = weight.detach().clone()
        push = torch.randn(2000, dtype=torch.float64, generator=noise)
        push -= before * (push @ before) / before.square().sum()
        weight.grad = push / before.square().sum().sqrt()
        optimiser.step()
        if step >= 1500:
            found.append(math.acos(1 - rotation(before, weight.detach())))
    return found


@pytest.mark.parametrize(
    ("rate", "decay", "momentum", "angle"),
    [(0.1, 0.05, 0.0, 0.1), (0.01, 0.1, 0.9, 0.03244), (0.1, 5e-4, 0.9, 7.255e-3)],
)
def test_scale_invariant_weights_settle_at_the_angle_of_the_formula(rate, decay, momentum, angle):
    assert equilibrium_rotation(rate, decay, momentum) == pytest.approx(angle, rel=1e-3)
    if angle < 0.01:
        return  # too slow to reach in a test
    found = angles(rate, decay, momentum)
    assert sum(found) / len(found) == pytest.approx(angle, rel=0.01)


def test_weights_before_a_norm_are_found_by_their_gradient():
    model, batch = small_network(), small_batch()
    for norm in norms(model):
        norm.eps = 1e-30
    assert scale_invariant_weights(model, batch) == ("0.weight", "3.weight")


def test_the_equilibrium_stands_beside_the_weights_it_is_about():
    found = update_sizes(
        {"a": torch.ones(2, 2), "b": torch.ones(2, 2)},
        {"a": torch.ones(2, 2), "b": 2 * torch.ones(2, 2)},
        expected=0.01,
        invariant=("b",),
    )
    assert found["update / weight"] == (0.0, 1.0)
    assert math.isnan(found.theories[0].values[0])
    assert found.theories[0].values[1] == 0.01


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="ReLU has no BatchNorm with running statistics"):
        normalisation(nn.ReLU(), (drawn(2, 2), None))
    with pytest.raises(ValueError, match="have no 'a', so they are of another model"):
        update_sizes({"a": torch.ones(1)}, {})
    with pytest.raises(ValueError, match="hold no floating tensors"):
        update_sizes({}, {})
    with pytest.raises(ValueError, match="rate and decay must not be negative"):
        equilibrium_rotation(-1, 0)
    with pytest.raises(ValueError, match="no layer that could turn"):
        layer_rotation({"b": torch.ones(2)}, {"b": torch.ones(2)})
