"""Chains: their depth, their start, and that twins differ in the sum alone."""

import math

import pytest
import torch
from torch import nn

from skipwise.connections import Plain
from skipwise.lessons import DESIGNS, Chain, Rectified
from skipwise.networks import build_network
from skipwise.randomness import seeded
from skipwise.shapes import Ends

ENDS = Ends(inputs=(1, 8, 8), outputs=(10,))


def built(key: str, depth: int, width: int = 32) -> nn.Module:
    with seeded(0, "initialise"):
        return build_network(DESIGNS[key].chain(depth, width), ENDS).double()


def weights_of(model: nn.Module) -> list[torch.Tensor]:
    return [m.weight.detach() for m in model.modules() if isinstance(m, nn.Linear)]


@pytest.mark.parametrize("key", DESIGNS)
@pytest.mark.parametrize("depth", [8, 20])
def test_the_depth_counts_the_layers_with_weights(key: str, depth: int):
    assert len(weights_of(built(key, depth))) == depth


@pytest.mark.parametrize(
    ("plain", "residual"), [("plain", "scaled"), ("plain_norm", "residual_norm")]
)
def test_twins_have_the_same_start(plain: str, residual: str):
    first, second = map(weights_of, (built(plain, 20), built(residual, 20)))
    assert len(first) == 20
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_chain_computes_its_formula():
    model = built("scaled", 8)
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    stem, *inner, head = weights_of(model)
    stream = x.flatten(1) @ stem.T
    for first, second in zip(inner[::2], inner[1::2], strict=True):
        branch = (stream.relu() @ first.T).relu() @ second.T
        stream = stream + branch / math.sqrt(3)
    torch.testing.assert_close(model(x), stream.relu() @ head.T)


def test_a_plain_sigmoid_chain_computes_its_formula():
    model = built("sigmoid", 8)
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    *inner, head = weights_of(model)
    stream = x.flatten(1)
    for weight in inner:
        stream = (stream @ weight.T).sigmoid()
    torch.testing.assert_close(model(x), stream @ head.T)


def test_weights_start_by_hes_rule():
    stem, inner, *_ = weights_of(built("plain", 8, width=256))
    assert float(inner.var()) == pytest.approx(2 / 256, rel=0.02)
    assert float(stem.var()) == pytest.approx(1 / 64, rel=0.03)


def test_branches_from_zero_are_their_skip():
    model = built("zero", 20)
    stream = torch.randn(4, 32, dtype=torch.float64)
    trunk = model.get_submodule("trunk")
    for block in trunk.get_submodule("blocks").children():
        assert torch.equal(block(stream), stream)


@pytest.mark.parametrize("depth", [7, 2])
def test_depths_that_no_chain_has_are_refused(depth: int):
    with pytest.raises(ValueError, match="its depth is even"):
        DESIGNS["plain"].chain(depth, 8)


def test_a_plain_chain_cannot_start_at_zero():
    with pytest.raises(ValueError, match="zero_last needs a skip"):
        Chain(name="x", blocks=1, branch=Rectified(), connection=Plain(), zero_last=True)
