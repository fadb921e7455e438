"""A measurement changes nothing, also when it fails half-way."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from skipwise.analysis import gradient_split, untouched
from skipwise.analysis.untouched import HOOKS

X = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(4)


def model_in_use() -> nn.Module:
    """A network in the middle of something: gradients, frozen parts, mixed modes, others' hooks."""
    torch.manual_seed(0)
    model = nn.Sequential(resnet18(num_classes=5), nn.Dropout(0.3))
    nn.functional.cross_entropy(model(X), LABELS).backward()
    model.get_submodule("0.layer1").eval()
    model.get_parameter("0.conv1.weight").requires_grad_(False)
    model.get_submodule("0.layer2").register_forward_hook(lambda *_: None)
    model.get_submodule("0.layer3.0").register_full_backward_hook(lambda *_: None)
    return model


def everything(model: nn.Module) -> list[Any]:
    """All that could have changed, by value and by identity."""
    modules = list(model.modules())
    hooks = [{name: dict(vars(m)[name]) for name in HOOKS} for m in modules]
    flags = [(m.training, vars(m).get("_is_full_backward_hook")) for m in modules]
    tensors = [(id(t), t.detach().clone()) for t in (*model.parameters(), *model.buffers())]
    gradients = [
        (id(p.grad), p.requires_grad, p.grad is not None and p.grad.clone())
        for p in model.parameters()
    ]
    noise = torch.get_rng_state(), np.random.get_state(legacy=True), random.getstate()
    return [hooks, flags, tensors, gradients, noise]


def same(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor):
        return torch.equal(left, right)
    if isinstance(left, np.ndarray):
        return np.array_equal(left, right)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def test_everything_is_as_before():
    model = model_in_use()
    before = everything(model)
    gradient_split(model, (X, LABELS))
    assert same(everything(model), before)


def failing(*_: Any) -> Tensor:
    for draw in (torch.rand, np.random.rand):
        draw(3)
    random.random()
    raise RuntimeError("half-way")


@pytest.mark.parametrize("where", ["loss", "block"])
def test_everything_is_as_before_when_it_fails_half_way(where: str):
    model = model_in_use()
    loss: Callable[..., Tensor] = nn.functional.cross_entropy
    if where == "loss":
        loss = failing
    else:
        model.get_submodule("0.layer4.1.bn2").register_forward_hook(failing)
    before = everything(model)
    with pytest.raises(RuntimeError if where == "loss" else ValueError, match="half-way"):
        gradient_split(model, (X, LABELS), loss)
    assert same(everything(model), before)


def test_a_change_inside_is_put_back():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        before = everything(model)
        with untouched(model, weights=True):
            assert torch.is_grad_enabled()
            model.eval()
            model[0].register_forward_pre_hook(lambda *_: None)
            model[1].register_buffer("running_mean", torch.ones(2))
            model[0].get_parameter("weight").data.add_(1)
            model[1].register_full_backward_hook(lambda *_: None)
            model[0].get_parameter("weight").requires_grad_(False)
            model[0].get_parameter("weight").grad = torch.ones(2, 2)
    assert same(everything(model), before)


def test_it_does_not_spoil_a_graph_that_waits_for_its_backward_pass():
    torch.manual_seed(0)
    model = resnet18(num_classes=5).eval()
    loss = nn.functional.cross_entropy(model(X), LABELS)
    gradient_split(model, (X, LABELS))
    loss.backward()


def test_a_measurement_repeats_although_the_model_draws_numbers():
    model = model_in_use()
    first = gradient_split(model, (X, LABELS))
    torch.rand(7)
    assert first == gradient_split(model, (X, LABELS))


def test_hooks_of_others_run_since_they_may_be_part_of_the_model():
    model, seen = resnet18(num_classes=5), []
    model.get_submodule("layer1").register_forward_hook(lambda *_: seen.append(1))
    gradient_split(model, (X, LABELS))
    assert seen


def test_it_measures_within_inference_mode():
    model = resnet18(num_classes=5)
    with torch.inference_mode():
        assert gradient_split(model, (X, LABELS)).rows
