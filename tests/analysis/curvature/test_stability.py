"""The limits, by running torch's optimisers on parabolas, and a toy that stabilises itself."""

import math

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

from skipwise.analysis import Rule, batch_sharpness, hessian_spectrum
from skipwise.analysis.curvature import adam_preconditioner, in_use
from skipwise.strategies import nesterov, sgdw_algoperf
from tests.analysis.curvature.problems import (
    NOTHING,
    Product,
    dense_hessian,
    drawn,
    half_squares,
    linear,
    product_loss,
    small_batch,
    small_network,
)


def found_limit(guess: float, steps: int = 2500, **options) -> float:
    """Find the largest curvature that an optimiser survives, on many parabolas at once."""
    curvatures = guess * torch.linspace(0.999, 1.001, 201, dtype=torch.float64)
    position = nn.Parameter(torch.ones_like(curvatures))
    optimiser = SGD([position], lr=0.1, **options)
    for _ in range(steps):
        position.grad = curvatures * position.detach()
        optimiser.step()
    return curvatures[position.detach().abs() < 1].max().item()


@pytest.mark.parametrize(
    ("rule", "options", "limit"),
    [
        (Rule(rate=0.1), {}, 20.0),
        (Rule(rate=0.1, momentum=0.9), {"momentum": 0.9}, 38.0),
        (
            Rule(rate=0.1, momentum=0.9, nesterov=True),
            {"momentum": 0.9, "nesterov": True},
            38 / 2.8,
        ),
        (Rule(rate=0.1, momentum=0.9, dampening=0.9), {"momentum": 0.9, "dampening": 0.9}, 380.0),
    ],
    ids=["gradient descent", "heavy ball", "nesterov", "averaged momentum"],
)
def test_the_limit_is_where_the_optimiser_begins_to_grow(rule: Rule, options, limit: float):
    assert rule.limit == pytest.approx(limit, rel=1e-12)
    assert found_limit(limit, **options) == pytest.approx(limit, rel=1e-4)


@pytest.mark.parametrize(("nesterov", "dampening"), [(False, 0.0), (False, 0.5), (True, 0.0)])
def test_a_decoupled_decay_lowers_the_limit(nesterov: bool, dampening: float):
    rule = Rule(rate=0.1, momentum=0.8, dampening=dampening, nesterov=nesterov, decay=0.7)
    curvatures = rule.limit * torch.linspace(0.999, 1.001, 201, dtype=torch.float64)
    theta, velocity = torch.ones_like(curvatures), torch.zeros_like(curvatures)
    for _ in range(2500):
        slope = curvatures * theta
        velocity = 0.8 * velocity + (1 - dampening) * slope
        step = slope + 0.8 * velocity if nesterov else velocity
        theta = (1 - 0.1 * 0.7) * theta - 0.1 * step
    assert curvatures[theta.abs() < 1].max().item() == pytest.approx(rule.limit, rel=1e-4)


def test_descent_above_the_limit_moves_to_where_it_is_stable():
    # eta = 0.6, start (1.9, 0.55): trace x² + y² = 3.9125, largest eigenvalue 3.9369 > 2/0.6.
    model = Product(1.9, 0.55)
    optimiser = SGD(model.parameters(), lr=0.6)
    start = hessian_spectrum(model, NOTHING, product_loss, probes=0, optimiser=optimiser)
    assert start["value"][0] == pytest.approx(3.936904, abs=1e-6)
    assert start.figures["seen / limit"] > 1
    for _ in range(200):
        optimiser.zero_grad()
        product_loss(model(NOTHING[0]), None).backward()
        optimiser.step()
    end = hessian_spectrum(model, NOTHING, product_loss, probes=0, optimiser=optimiser)
    assert (model.x.item(), model.y.item()) == pytest.approx((1.5637, 0.63951), rel=1e-4)
    assert end["value"][0] == pytest.approx(2.854, abs=5e-4)
    assert end.figures["seen / limit"] < 1


@pytest.mark.parametrize("steps", [1, 5])
def test_adams_step_is_averaged_momentum_over_the_preconditioner(steps: int):
    parameter = nn.Parameter(drawn(6))
    optimiser = Adam([parameter], lr=0.01, betas=(0.8, 0.95), eps=1e-3)
    before = parameter.detach()
    for step in range(steps):
        before = parameter.detach().clone()
        parameter.grad = drawn(6, seed=step + 1)
        optimiser.step()
    state = optimiser.state[parameter]
    diagonal = adam_preconditioner(
        state["exp_avg_sq"], step=steps, beta1=0.8, beta2=0.95, epsilon=1e-3
    )
    expected = -0.01 * state["exp_avg"] / diagonal
    torch.testing.assert_close(parameter.detach() - before, expected, rtol=1e-9, atol=1e-15)


def test_what_adam_sees_is_the_curvature_over_its_preconditioner():
    model, (inputs, targets) = linear(4), (drawn(12, 4), drawn(12, 1, seed=1))
    optimiser = Adam(model.parameters(), lr=0.01, weight_decay=0.3)
    for _ in range(3):
        optimiser.zero_grad()
        half_squares(model(inputs), targets).backward()
        optimiser.step()
    found = hessian_spectrum(model, (inputs, targets), half_squares, optimiser=optimiser, probes=0)
    second = optimiser.state[model.weight]["exp_avg_sq"].flatten()
    diagonal = adam_preconditioner(second, step=3, beta1=0.9, beta2=0.999, epsilon=1e-8)
    matrix = inputs.mT @ inputs / 12 + 0.3 * torch.eye(4, dtype=torch.float64)
    truth = torch.linalg.eigvals(matrix / diagonal[:, None]).real.max().item()
    assert found.figures["seen by the optimiser"] == pytest.approx(truth, rel=1e-5)
    assert found.figures["limit of stability"] == pytest.approx(3800.0)


def test_groups_of_different_rates_weigh_the_curvature():
    model = small_network()
    rates = {"0.weight": 0.02, "3.weight": 0.0}
    groups = [{"params": [p], "lr": rates.get(n, 0.1)} for n, p in model.named_parameters()]
    used = in_use(SGD(groups, momentum=0.9, weight_decay=0.01), dict(model.named_parameters()))
    assert used.rule == Rule(rate=0.1, momentum=0.9)
    assert used.preconditioner is not None
    assert set(used.preconditioner.tolist()) == {1.0, 5.0, math.inf}


def test_a_decoupled_decay_is_read_as_part_of_the_rule():
    model, (inputs, classes) = small_network(), small_batch()
    optimiser = AdamW(model.parameters(), lr=0.01, weight_decay=0.5)
    nn.functional.cross_entropy(model(inputs), classes).backward()
    optimiser.step()
    used = in_use(optimiser, dict(model.named_parameters()))
    assert used.rule == Rule(rate=0.01, momentum=0.9, dampening=0.9, decay=0.5)
    assert used.rule.limit == pytest.approx(19 * (2 / 0.01 - 0.5))
    assert not torch.as_tensor(used.decay).any()


def test_what_is_wrong_is_said():
    model = linear(3)
    named = dict(model.named_parameters())
    with pytest.raises(ValueError, match="rate must be positive, got 0"):
        Rule(rate=0)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\), got 1 and 0"):
        Rule(rate=1, momentum=1)
    with pytest.raises(ValueError, match="Nesterov's rule needs a momentum and no dampening"):
        Rule(rate=1, nesterov=True)
    with pytest.raises(TypeError, match="the stability limit of RMSprop is not known"):
        in_use(torch.optim.RMSprop(model.parameters()), named)
    with pytest.raises(ValueError, match="does not hold the parameter 'weight'"):
        in_use(SGD(linear(3).parameters(), lr=0.1), named)
    with pytest.raises(ValueError, match="no preconditioner before its first step"):
        in_use(Adam(model.parameters()), named)
    one, two = linear(3), linear(3)
    groups = [{"params": one.parameters(), "momentum": 0.9}, {"params": two.parameters()}]
    with pytest.raises(ValueError, match="differ in momentum"):
        in_use(SGD(groups, lr=0.1), dict(nn.ModuleList([one, two]).named_parameters()))


@pytest.mark.parametrize(
    "make", [lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=0.3), lambda p: Adam(p, lr=0.01)]
)
def test_batch_sharpness_is_what_the_optimiser_sees_along_its_own_gradient(make):
    model, batch = small_network(), small_batch()
    optimiser = make(list(model.parameters()))
    for _ in range(2):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(batch[0]), batch[1]).backward()
        optimiser.step()
    used = in_use(optimiser, dict(model.named_parameters()))
    matrix = dense_hessian(model, batch)
    gradient = torch.cat([
        g.flatten()
        for g in torch.autograd.grad(
            nn.functional.cross_entropy(model(batch[0]), batch[1]), list(model.parameters())
        )
    ])
    diagonal = used.preconditioner
    scale = torch.ones_like(gradient) if diagonal is None else diagonal.double()
    along = gradient / scale  # P⁻¹g, in the coordinates of the weights
    decayed = float(along @ matrix @ along) + float((used.decay * along.square()).sum())
    found = batch_sharpness(model, batch, optimiser=optimiser).figures
    truth = decayed / float(gradient @ along)
    assert found["seen by the optimiser"] == pytest.approx(truth, rel=1e-5)
    assert found["limit of stability"] == used.rule.limit
    assert found["seen / limit"] == pytest.approx(truth / used.rule.limit, rel=1e-5)


def test_an_optimiser_of_ours_has_the_limit_of_the_rule_that_it_computes():
    model = nn.Linear(2, 1)
    ours = nesterov().build(model)
    rule = in_use(ours, dict(model.named_parameters())).rule
    assert rule == Rule(rate=0.1, momentum=0.9, nesterov=True)
    apart = sgdw_algoperf().build(model)
    with pytest.raises(TypeError, match="the stability limit of DecayedDescent is not known"):
        in_use(apart, dict(model.named_parameters()))
