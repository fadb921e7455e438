"""Fixup against the paper's rules: what starts how large, what learns when, the formula slowly."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, linear

from skipwise.branches import Fixup, FixupBottleneck
from skipwise.connections import Additive, Padded, Plain, Projected, StochasticDepth
from skipwise.description import from_plain, to_plain
from skipwise.networks import (
    Residual,
    ResidualMLP,
    ResNet,
    Trunk,
    fixup20,
    fixup56,
    fixup110,
    fixup_resnet50,
    plain_twin,
    resnet20,
)
from skipwise.shapes import Ends
from skipwise.strategies import decays, roles
from tests.references import SMALL, close, randomised

CIFAR = Ends(inputs=(3, 32, 32), outputs=(10,))
REZERO = Additive(scale=0.0, learned=True)
TINY = replace(fixup20(), blocks=(2, 2), width=4)


@pytest.mark.parametrize(
    ("network", "factor"),
    [(fixup20(), 0.333333), (fixup56(), 0.192450), (fixup110(), 0.136083), (fixup_resnet50(), 0.5)],
    ids=lambda v: v.name if isinstance(v, ResNet) else None,
)
def test_inner_layers_start_at_hes_law_times_the_papers_factor(network: ResNet, factor: float):
    torch.manual_seed(0)
    branch = network.build(CIFAR).get_submodule("trunk.blocks.8.branch")
    assert network.branch.gain(network.places()[0]) == pytest.approx(factor, abs=1e-6)
    *inner, last = [m.weight for m in branch.modules() if isinstance(m, nn.Conv2d)]
    for weight in inner:
        wanted = factor * math.sqrt(2 / (weight.shape[0] * weight[0, 0].numel()))
        assert abs(weight.std().item() / wanted - 1) < 5 / math.sqrt(2 * weight.numel())
    assert not last.any()


def test_the_stem_and_the_projections_keep_hes_law():
    torch.manual_seed(0)
    model = fixup_resnet50().build(CIFAR)
    for name in ("stem.conv.weight", "trunk.blocks.3.connection.skip.shortcut.conv.weight"):
        weight = model.get_parameter(name)
        wanted = math.sqrt(2 / (weight.shape[0] * weight[0, 0].numel()))
        assert abs(weight.std().item() / wanted - 1) < 5 / math.sqrt(2 * weight.numel())


def by_hand(p: dict[str, torch.Tensor], x: torch.Tensor, network: ResNet) -> torch.Tensor:
    """Write the network as the paper has it: a scalar before every layer, s after the last."""
    h = (conv2d(x, p["stem.conv.weight"], padding=1) + p["stem.norm.bias"]).relu()
    for place in network.places():
        at, stride = f"trunk.blocks.{place.index}.", place.stride
        read = h + p[f"{at}connection.skip.norm.bias"]
        skip = read[:, :, ::stride, ::stride] if place.changes_shape else h
        if f"{at}connection.skip.shortcut.conv.weight" in p:
            skip = conv2d(skip, p[f"{at}connection.skip.shortcut.conv.weight"])
        elif place.changes_shape:
            skip = torch.cat([skip, 0 * skip], 1)
        weights = [p[k] for k in p if k.startswith(f"{at}branch.convolutions.")]
        strided, f = (1 if len(weights) == 3 else 0), read
        for n, w in enumerate(weights):
            f = conv2d(f, w, stride=stride if n == strided else 1, padding=w.shape[-1] // 2)
            if n + 1 < len(weights):
                f = (f + p[f"{at}branch.between.{n}.0.bias"]).relu()
                f = f + p[f"{at}branch.between.{n}.1.bias"]
        h = (skip + p[f"{at}branch.scale"] * f + p[f"{at}branch.bias"]).relu()
    pooled = h.mean((2, 3)) + p["trunk.norm.bias"]
    return linear(pooled, p["head.linear.weight"], p["head.linear.bias"])


@pytest.mark.parametrize(
    "network",
    [TINY, replace(TINY, branch=FixupBottleneck(), shortcut=Projected(norm=False))],
    ids=["basic", "bottleneck"],
)
@pytest.mark.parametrize("side", [8, 7])
def test_the_whole_network_equals_the_papers_formula(network: ResNet, side: int):
    ends = Ends(inputs=(3, side, side), outputs=(5,))
    model = randomised(network.build(ends))
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    close(model(x), by_hand(model.state_dict(), x, network))


@pytest.mark.parametrize("network", [fixup20(), fixup_resnet50()], ids=lambda n: n.name)
def test_at_the_start_the_output_is_zero(network: ResNet):
    assert torch.equal(network.build(CIFAR)(torch.randn(2, 3, 32, 32)), torch.zeros(2, 10))


def test_at_the_start_a_hundred_and_ten_blocks_leave_the_stream_bit_for_bit():
    model = replace(fixup20(), blocks=(110,), width=4).build(SMALL)
    x = model.get_submodule("stem")(torch.randn(2, 3, 8, 8))
    assert torch.equal(model.get_submodule("trunk")(x), x)


@pytest.mark.parametrize("scaled", [True, False])
def test_the_factor_bounds_the_stream_once_the_last_layers_are_as_large_as_hes_law(
    scaled: bool,
):
    torch.manual_seed(0)
    network = replace(fixup20(), blocks=(110,), width=32)
    model = network.build(SMALL).double()
    for name, weight in model.named_parameters():
        if name.endswith("convolutions.1.weight") or ("branch.conv" in name and not scaled):
            nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
    trunk = model.get_submodule("trunk")
    assert isinstance(trunk, Trunk)
    with torch.no_grad():
        states = list(trunk.states(torch.rand(4, 32, 8, 8, dtype=torch.float64)))
    growth = states[-1].square().mean() / states[0].square().mean()
    # A branch adds 2/L of the second moment it reads: (1 + 2/L)^L < e²; without the factor 3^L.
    assert growth < math.e**2 if scaled else growth > 1e20


def live(model: nn.Module, x: torch.Tensor) -> set[str]:
    """Name the parameters that get a gradient, and take a step along it."""
    model.zero_grad()
    model(x).sub(torch.arange(5)).square().mean().backward()
    named = {n: p for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    with torch.no_grad():
        for parameter in named.values():
            assert parameter.grad is not None
            parameter -= 0.01 * parameter.grad
    return set(named)


def test_the_classifier_learns_at_once_the_last_layers_one_step_later_then_all():
    torch.manual_seed(0)
    model, x = TINY.build(SMALL), torch.randn(16, 3, 8, 8)
    assert live(model, x) == {"head.linear.weight", "head.linear.bias"}
    second = live(model, x)
    assert {n for n in second if "convolutions" in n} == {
        f"trunk.blocks.{n}.branch.convolutions.1.weight" for n in range(4)
    }
    assert {"stem.conv.weight", "stem.norm.bias", "trunk.norm.bias"} <= second
    assert live(model, x) == {name for name, _ in model.named_parameters()}


def test_weight_decay_spares_the_scalars():
    model = TINY.build(SMALL)
    spared = {n for n, role in roles(model).items() if not decays(role)}
    scalars = {n for n, p in model.named_parameters() if p.dim() == 0}
    assert spared == scalars | {"head.linear.bias"}
    assert len(scalars) == 2 + 5 * 4


def test_no_norm_is_left_even_behind_a_deep_stem():
    from skipwise.networks import LargeStem

    network = replace(fixup_resnet50(), stem=LargeStem(deep=True))
    model = network.build(Ends(inputs=(3, 32, 32), outputs=(5,)))
    assert not any("Norm" in type(m).__name__ for m in model.modules())


@pytest.mark.parametrize("network", [fixup20(), fixup_resnet50()], ids=lambda n: n.name)
def test_the_description_survives_the_disk(network: ResNet):
    assert from_plain(to_plain(network)) == network


@pytest.mark.parametrize(
    "make",
    [
        lambda: plain_twin(fixup20()),
        lambda: replace(resnet20(), zero_last=True, connection=Plain()),
        lambda: ResNet(name="mine", blocks=(1,), branch=Fixup(), connection=Plain()),
        lambda: replace(fixup20(), connection=REZERO),
        lambda: replace(resnet20(), zero_last=True, connection=StochasticDepth(inner=Plain())),
        lambda: ResidualMLP(connection=StochasticDepth(inner=REZERO)),
    ],
)
def test_branches_that_start_at_zero_are_refused_where_they_never_learn(make):
    with pytest.raises(ValueError, match=r"start at zero, and (without the skip|behind a scale)"):
        make()


def test_a_plain_perceptron_whose_branches_start_at_zero_learns():
    """Their first biases are not zero, so that the last block has a gradient at once."""
    model = ResidualMLP(blocks=2, connection=Plain()).build(Ends(inputs=(4,), outputs=(2,)))
    model(torch.randn(6, 4)).square().sum().backward()
    gradient = model.get_submodule("trunk.blocks.1.branch.linear2").weight.grad
    assert isinstance(gradient, torch.Tensor)
    assert gradient.any()


def test_rezero_before_a_branch_at_zero_has_no_gradient_at_all():
    block = Residual(nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 3)), REZERO)
    for parameter in block.branch.get_submodule("2").parameters():
        nn.init.zeros_(parameter)
    block(torch.randn(4, 3)).square().sum().backward()
    gradients = [parameter.grad for parameter in block.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_padded_shortcuts_put_zeros_and_not_the_bias_into_the_new_channels():
    model = randomised(replace(TINY, shortcut=Padded(side="end")).build(SMALL))
    carried, read = model.get_submodule("trunk.blocks.2.connection.skip")(torch.randn(2, 4, 8, 8))
    assert torch.equal(carried[:, :4], read[:, :, ::2, ::2])
    assert not carried[:, 4:].any()
