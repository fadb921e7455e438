"""Branches that start at zero are their skips: theory says so exactly, while it is so."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis import Measurement, gradient_split, signal
from skipwise.analysis.depth.signal import COLUMNS
from skipwise.connections import Additive
from skipwise.networks import Residual, fixup20, mlp, preresnet20, resnet20
from skipwise.shapes import Ends
from tests.analysis.depth.test_signal import layer, theory
from tests.analysis.models import Stack, along, residual_stack
from tests.references import SMALL

ZERO = "residual, from zero"
SCALAR = Additive(scale=0.0, learned=True)
DESIGNS = {
    "ReZero": lambda: replace(resnet20(), connection=SCALAR).build(SMALL),
    "SkipInit": lambda: replace(preresnet20(), connection=SCALAR).build(SMALL),
    "LayerScale": lambda: replace(
        preresnet20(), connection=replace(SCALAR, per_channel=True)
    ).build(SMALL),
    "zero γ": lambda: replace(resnet20(), zero_last=True).build(SMALL),
    "zero last convolution": lambda: replace(preresnet20(), zero_last=True).build(SMALL),
    "Fixup": lambda: fixup20().build(SMALL),
    "perceptrons": lambda: mlp().build(Ends(inputs=(12,), outputs=(5,))),
}
PREACTIVATED = ("SkipInit", "LayerScale", "zero last convolution")  # their first skip carries N(x)


def started(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = DESIGNS[name]().double()
    if name == "Fixup":  # whose head starts at zero too, so that no gradient arrives
        nn.init.normal_(model.get_parameter("head.linear.weight"))
    return model


def batch_of(name: str) -> tuple[Tensor, Tensor]:
    shape = (12,) if name == "perceptrons" else SMALL.inputs
    noise = torch.Generator().manual_seed(1)
    x = torch.randn(6, *shape, generator=noise, dtype=torch.float64)
    return x, torch.arange(6) % 5


def named(found: Measurement) -> set[str]:
    return {t.name for t in found.theories}


@pytest.mark.parametrize("name", DESIGNS)
def test_signal_and_gradient_stay_as_they_are(name: str):
    found = signal(started(name), batch_of(name))
    for column in (*COLUMNS, "gradient norm"):
        expected = next(t for t in found.theories if (t.name, t.column) == (ZERO, column))
        rows = [row for row, value in enumerate(expected.values) if not math.isnan(value)]
        assert rows == list(range(name in PREACTIVATED, len(found.rows)))  # all stages
        assert expected.holds
        measured = [found[column][row] for row in rows]
        np.testing.assert_allclose([expected.values[r] for r in rows], measured, rtol=1e-10)


@pytest.mark.parametrize("name", DESIGNS)
def test_the_share_of_the_branches_is_zero(name: str):
    found = gradient_split(started(name), batch_of(name))
    assert {share for share in found["branch share"] if not math.isnan(share)} == {0.0}


@pytest.mark.parametrize("name", ["ReZero", "zero γ", "Fixup"])
def test_a_relu_after_the_sum_cuts_the_gradient_once(name: str):
    """The ReLU of a later block has let through only what those before it let through."""
    model, batch = started(name), batch_of(name)
    found = signal(model, batch)
    stream = model.get_submodule("stem")(batch[0])
    for block in model.get_submodule("trunk.blocks").children():
        stream = block(stream)
    stream.retain_grad()
    head = nn.Sequential(model.get_submodule("trunk.norm"), model.get_submodule("head"))
    nn.functional.cross_entropy(head(stream), batch[1]).backward()
    assert stream.grad is not None
    cut = float(stream.grad[stream > 0].norm())
    norms = theory(found, "gradient norm").values
    assert norms[7:9] == pytest.approx([cut] * 2, rel=1e-12)
    assert norms[9] == pytest.approx(float(stream.grad.norm()), rel=1e-12)
    assert cut < 0.9 * norms[9]
    assert norms[:4] == pytest.approx([norms[3]] * 4, rel=1e-12)


def normed_last(factor: float) -> nn.Module:
    """Branches that end in a BatchNorm of γ = factor, with nothing after the sum."""
    torch.manual_seed(0)
    blocks = []
    for _ in range(4):
        norms = (nn.BatchNorm1d(16), nn.BatchNorm1d(16))
        nn.init.constant_(norms[1].weight, factor)
        blocks.append(Residual(nn.Sequential(layer(16), norms[0], nn.ReLU(), layer(16), norms[1])))
    return Stack(*blocks).double()


def looked(model: nn.Module, x: Tensor | None = None) -> Measurement:
    noise = torch.Generator().manual_seed(3)
    drawn = torch.randn(8, 16, generator=noise, dtype=torch.float64)
    direction = torch.randn(8, 16, generator=noise, dtype=torch.float64)
    return signal(model, (drawn if x is None else x, direction), along)


@pytest.mark.parametrize("training", [True, False])
def test_a_norm_at_the_end_of_zero_weight_is_exact_in_both_modes(training: bool):
    found = looked(normed_last(0.0).train(training))
    assert named(found) == {ZERO}
    for expected in found.theories:
        assert expected.holds
        np.testing.assert_allclose(found[expected.column], expected.values, rtol=1e-12)


def test_once_the_weight_of_the_norm_has_moved_nothing_is_said_to_hold():
    found = looked(normed_last(1e-3))
    assert found.theories
    assert ZERO not in named(found)
    assert {t.holds for t in found.theories} == {False}


def test_a_scale_that_has_moved_is_taken_into_account():
    scaled = residual_stack(16, 4, Additive(scale=1e-3, learned=True)).double()
    found = looked(scaled)
    assert named(found) == {"residual", "ReLU"}
    assert theory(found, "gradient norm").holds


class Deviation(nn.Module):
    """``W·(x − c)`` where c happens to be x: zero, though its Jacobian is W."""

    def __init__(self):
        super().__init__()
        self.linear = layer(16)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x - x.detach())


def test_a_branch_that_is_zero_by_chance_does_not_start_at_zero():
    torch.manual_seed(0)
    found = looked(Stack(*(Residual(Deviation()) for _ in range(3))).double())
    assert len(set(found["second moment"])) == 1
    assert found["gradient norm"][0] > 1.1 * found["gradient norm"][-1]
    assert ZERO not in named(found)


def test_a_branch_that_writes_a_constant_does_not_start_at_zero():
    branches = [nn.Linear(16, 16) for _ in range(3)]
    for branch in branches:
        nn.init.zeros_(branch.weight)
        nn.init.constant_(branch.bias, 1e-3)
    found = looked(Stack(*map(Residual, branches)).double())
    assert len(set(found["gradient norm"])) == 1
    assert ZERO not in named(found)


class Rectified(nn.Module):
    """``ReLU(x + 0·F(x))``."""

    def __init__(self):
        super().__init__()
        self.branch = layer(16)
        nn.init.zeros_(self.branch.weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.branch(x))


@pytest.mark.parametrize("negative", [True, False])
def test_behind_a_relu_the_stream_must_be_one_that_it_leaves_as_it_is(negative: bool):
    x = torch.randn(8, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x = x if negative else x.abs()
    found = signal(
        Stack(*(Rectified() for _ in range(3))).double(), (x, x), along, sites="blocks.*"
    )
    assert {t.holds for t in found.theories if t.name == ZERO} == {not negative}
    assert all("nowhere negative" in t.condition for t in found.theories)


class Shrunk(nn.Module):
    """``0.9·x + 0·F(x)``: the branch starts at zero, and the skip is not the identity."""

    def __init__(self):
        super().__init__()
        self.branch = layer(16)
        nn.init.zeros_(self.branch.weight)

    def forward(self, x: Tensor) -> Tensor:
        return 0.9 * x + self.branch(x)


def test_a_skip_that_changes_the_stream_has_no_theory():
    found = looked(Stack(*(Shrunk() for _ in range(3))).double())
    assert found.theories
    assert {t.holds for t in found.theories} == {False}
    assert all("a skip that is not the identity" in t.condition for t in found.theories)
