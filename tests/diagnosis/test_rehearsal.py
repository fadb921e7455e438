"""A rehearsal takes the very steps that training would, and leaves everything as it was."""

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import StepLR

from skipwise.analysis import Rule
from skipwise.diagnosis import Moved, Rehearsal, rehearse
from skipwise.networks import fixup20, resnet20
from skipwise.shapes import Ends
from skipwise.strategies import named_strategies


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pictures(count: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    return drawn(count, 1, 6, 6, seed=seed), torch.arange(count) % 3


def network(*, norms: bool = True) -> nn.Module:
    described = resnet20() if norms else fixup20()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = replace(described, width=4, blocks=(1, 1)).build(
            Ends(inputs=(1, 6, 6), outputs=(3,))
        )
        for parameter in built.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return built


def train(model: nn.Module, optimiser: Optimizer, batches: list, loss: Any) -> list[float]:
    """Take a step with each batch, by hand."""
    found: list[list[float]] = []
    for inputs, targets in batches:
        values: list[float] = []

        def closure(x=inputs, y=targets, values=values) -> Tensor:
            optimiser.zero_grad()
            value = loss(model(x), y)
            values.append(value.item())
            value.backward()
            return value

        optimiser.step(closure)  # pyright: ignore
        found.append(values)
    return [values[0] for values in found]


def everything(model: nn.Module, optimiser: Optimizer) -> list[Any]:
    """Copy all that a rehearsal must leave alone."""
    states = [dict(state) for state in optimiser.state.values()]
    return [
        [t.detach().clone() for t in (*model.parameters(), *model.buffers())],
        [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        [m.training for m in model.modules()],
        [{k: v.clone() if isinstance(v, Tensor) else v for k, v in s.items()} for s in states],
        [{k: v for k, v in g.items() if k != "params"} for g in optimiser.param_groups],
        torch.get_rng_state(),
        torch.from_numpy(np.random.get_state()[1].copy()),  # pyright: ignore
        list(random.getstate()[1]),
        [len(m._forward_hooks) for m in model.modules()],
    ]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (one != one and other != other)


def test_it_leaves_everything_as_it_was():
    model = nn.Sequential(network(), nn.Dropout(0.5))
    optimiser = SGD(model.parameters(), lr=0.1, momentum=0.9)
    train(model, optimiser, [pictures()], cross_entropy)
    model[0].eval()
    before, batch = everything(model, optimiser), pictures(seed=1)
    with torch.inference_mode():
        found = rehearse(model, batch, None, optimiser, steps=4)
    assert same(before, everything(model, optimiser))
    assert len(found.losses) == 4


def test_it_leaves_everything_as_it_was_when_it_fails():
    model = network()
    optimiser = SGD(model.parameters(), lr=0.1, momentum=0.9)
    before = everything(model, optimiser)
    with pytest.raises(ValueError, match="the loss must be one number"):
        rehearse(model, pictures(), lambda output, _: output, optimiser)
    assert same(before, everything(model, optimiser))


@pytest.mark.parametrize("name", sorted(named_strategies()))
def test_its_steps_are_those_of_training_for_every_strategy(name: str):
    model = network(norms=False)
    optimiser = named_strategies()[name]().build(model)
    batches = [pictures(seed=seed) for seed in range(3)]
    train(model, optimiser, batches, cross_entropy)  # so that there is a state to copy
    before = everything(model, optimiser)
    found = rehearse(model, batches, None, optimiser, steps=3, seconds=60, look=0)
    assert same(before, everything(model, optimiser))
    was = {n: p.detach().clone() for n, p in model.named_parameters()}
    assert list(found.losses) == train(model, optimiser, batches[:1], cross_entropy) + list(
        found.losses[1:]
    )
    for key, parameter in model.named_parameters():
        moved = (parameter - was[key]).double().norm() / was[key].double().norm()
        assert found.moved[key].ratios[0] == pytest.approx(moved.item(), rel=1e-6), key
    assert list(found.losses[1:]) == train(model, optimiser, batches[1:], cross_entropy)


def test_a_schedulers_step_of_the_original_is_not_taken():
    model = nn.Linear(2, 1)
    optimiser = SGD(model.parameters(), lr=0.1)
    StepLR(optimiser, 1)
    seen: list[Optimizer] = []
    optimiser.register_step_post_hook(lambda rule, *_: seen.append(rule))
    before = everything(model, optimiser)
    found = rehearse(model, (drawn(4, 2), drawn(4, 1)), mse_loss, optimiser, steps=3)
    assert same(before, everything(model, optimiser))
    assert found.losses[2] < found.losses[0]
    assert not seen


class Parabola(nn.Module):
    """``½λθ²``."""

    def __init__(self, curvature: float):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([[1.0]], dtype=torch.float64))
        self.curvature = curvature

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * self.curvature * (self.theta * x).square()


def on_parabola(factor: float, steps: int = 12) -> Rehearsal:
    """Rehearse gradient descent with η·λ = factor."""
    model = Parabola(4.0)
    batch = torch.ones(1, 1, dtype=torch.float64), None
    rule = SGD(model.parameters(), lr=factor / 4)
    return rehearse(model, batch, lambda output, _: output.mean(), rule, steps=steps)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.9, 2.1])
def test_on_a_parabola_all_is_known(factor: float):
    found = on_parabola(factor)
    expected = [2 * (1 - factor) ** (2 * step) for step in range(12)]
    assert found.losses == pytest.approx(expected)
    if factor != 1:  # which arrives at once, and then stands still
        assert found.alphas == pytest.approx([factor - 1] * 3)
        assert found.given == pytest.approx(found.promised)
        assert found.moved["theta"].ratios == pytest.approx([factor] * 12)
    assert (found.moved["theta"].rate, found.moved["theta"].momentum) == (factor / 4, 0.0)


def test_what_breaks_is_named_and_ends_it():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    batch = drawn(4, 2), drawn(4, 1)
    found = rehearse(model, batch, mse_loss, SGD(model.parameters(), lr=1e30))
    assert found.broke == "the loss"
    assert len(found.losses) == 2
    for length in (0.1, 10.0):  # an infinite change stays one, however long the weight is
        nn.init.constant_(model.get_parameter("0.weight"), length)
        found = rehearse(model, batch, mse_loss, SGD(model.parameters(), lr=math.inf))
        assert (found.broke, len(found.losses)) == ("0.weight", 1)
        assert found.as_measurement().notes == ("0.weight is not finite any more",)


class Slow(nn.Linear):
    passed = 0.0

    def forward(self, input: Tensor) -> Tensor:
        Slow.passed += 0.02
        return super().forward(input)


def test_it_ends_within_its_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Slow, "passed", 0.0)
    monkeypatch.setattr("skipwise.diagnosis.rehearsal.steps.perf_counter", lambda: Slow.passed)
    model, batch = Slow(2, 1), (drawn(4, 2), drawn(4, 1))
    found = rehearse(
        model, batch, mse_loss, SGD(model.parameters(), lr=0.1), steps=1000, seconds=1.0
    )
    assert found.seconds <= 1.0
    assert 20 < len(found.losses) < 50
    assert len(found.alphas) == 3


def test_numbers_that_do_not_move_are_counted():
    model, batch = nn.Linear(8, 1, bias=False).bfloat16(), (drawn(4, 8).bfloat16(), None)
    nn.init.ones_(model.weight)
    rule = SGD(model.parameters(), lr=1e-4)
    found = rehearse(model, batch, lambda output, _: output.mean(), rule).moved["weight"]
    assert (found.ratio, found.unmoved, found.dtype) == (0.0, 1.0, "bfloat16")
    size = batch[0].float().mean(0).square().mean().sqrt().item()
    assert found.gradient == pytest.approx(size, rel=0.02)  # of bfloat16's 2⁻⁸
    rule = SGD(model.parameters(), lr=0.5)
    moved = rehearse(model, batch, lambda output, _: output.mean(), rule).moved["weight"]
    assert moved.unmoved == 0


def test_a_copy_in_more_digits_is_found():
    model = nn.Linear(4, 1).bfloat16()
    rule = SGD(model.parameters(), lr=1e-9)  # nothing moves, so the copy stays the parameter
    rule.state[model.weight]["master"] = model.weight.detach().float()
    batch = drawn(4, 4).bfloat16(), None
    moved = rehearse(model, batch, lambda output, _: output.mean(), rule, steps=1).moved
    assert moved["weight"].mastered
    assert not moved["bias"].mastered


def test_zero_has_no_ratio_and_what_is_frozen_none_either():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    nn.init.zeros_(model.get_parameter("2.weight"))
    model[1].requires_grad_(False)
    rule = Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    found = rehearse(model, (drawn(4, 2), drawn(4, 1)), mse_loss, rule, steps=3)
    assert set(found.moved) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    zero = found.moved["2.weight"]
    assert math.isnan(zero.ratios[0])
    assert zero.ratios[1] > 0
    assert math.isnan(found.moved["0.weight"].decay)  # not of SGD


def test_it_prints_as_a_table():
    table = on_parabola(1.9).as_measurement()
    assert table.rows == ("theta",)
    assert table["update / weight"] == (pytest.approx(1.9),)
    assert table.figures["alpha, median"] == pytest.approx(0.9)
    assert math.isnan(Moved(ratios=(math.nan,), length=0.0, dimensions=2).ratio)


class Generating(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.made = self.weight * 2  # no leaf, so it cannot be copied

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x


def test_what_is_wrong_is_said():
    model, batch = nn.Linear(2, 1), (drawn(4, 2), drawn(4, 1))
    rule = SGD(model.parameters(), lr=0.1)
    with pytest.raises(TypeError, match=r"must be a torch\.optim\.Optimizer, got Rule"):
        rehearse(model, batch, None, Rule(rate=0.1))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="steps and seconds must be positive, got 0 and 1"):
        rehearse(model, batch, None, rule, steps=0, seconds=1)
    with pytest.raises(ValueError, match="holds no parameter of this model"):
        rehearse(nn.Linear(2, 1), batch, mse_loss, rule)
    odd = Generating()
    with pytest.raises(ValueError, match="cannot be copied, so no step can be rehearsed"):
        rehearse(odd, batch, mse_loss, SGD(odd.parameters(), lr=0.1))
