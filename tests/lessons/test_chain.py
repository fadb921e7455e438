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


@pytest.mark.parametrize("key", DESIGNS)
@pytest.mark.parametrize("depth", [8, 20])
def test_the_depth_counts_the_layers_with_weights(key: str, depth: int):
    layers = [m for m in built(key, depth).modules() if isinstance(m, nn.Linear)]
    assert len(layers) == depth


@pytest.mark.parametrize(
    ("plain", "residual"), [("plain", "scaled"), ("plain_norm", "residual_norm")]
)
def test_twins_have_the_same_start(plain: str, residual: str):
    first, second = built(plain, 20).state_dict(), built(residual, 20).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_chain_computes_its_formula():
    model = built("scaled", 8)
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Linear)]
    stem, *inner, head = weights
    stream = x.flatten(1) @ stem.T
    for first, second in zip(inner[::2], inner[1::2], strict=True):
        branch = (stream.relu() @ first.T).relu() @ second.T
        stream = stream + branch / math.sqrt(3)
    torch.testing.assert_close(model(x), stream.relu() @ head.T)


def test_a_plain_sigmoid_chain_computes_its_formula():
    model = built("sigmoid", 8)
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    *inner, head = [m.weight for m in model.modules() if isinstance(m, nn.Linear)]
    stream = x.flatten(1)
    for weight in inner:
        stream = (stream @ weight.T).sigmoid()
    torch.testing.assert_close(model(x), stream @ head.T)


def test_weights_start_by_hes_rule():
    model = built("plain", 20, width=256)
    inner = [m for m in model.get_submodule("trunk").modules() if isinstance(m, nn.Linear)]
    assert float(inner[0].weight.var()) == pytest.approx(2 / 256, rel=0.05)
    stem = model.get_submodule("stem.1")
    assert isinstance(stem, nn.Linear)
    assert float(stem.weight.var()) == pytest.approx(1 / 64, rel=0.05)


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
