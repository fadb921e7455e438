"""Laws that every connection obeys, in a network and alone; they need no data."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skipwise.branches import Zero
from skipwise.connections import ConnectionDescription, Padded, Plain, Skip
from skipwise.description import from_plain, read_yaml, to_plain, write_yaml
from skipwise.networks import Block, Trunk, preresnet20, resnet20
from skipwise.shapes import Place
from tests.references import CONNECTIONS, SMALL, close, randomised

SKIPPING = [c for c in CONNECTIONS if not isinstance(c, Plain)]
PLACE = Place(width_in=4, width_out=4, index=1, depth=3)
ACROSS = replace(PLACE, width_out=8, stride=2)


@pytest.mark.parametrize("description", CONNECTIONS, ids=repr)
def test_a_description_survives_the_disk(description: ConnectionDescription):
    assert from_plain(to_plain(description)) == description
    assert from_plain(read_yaml(write_yaml(description), "file")) == description


def padded(x: Tensor) -> Tensor:
    """Write the padded shortcut: every second position, and zeros in the new channels."""
    kept = x[:, :, ::2, ::2]
    return torch.cat([kept, torch.zeros_like(kept)], 1)


def own(connection: nn.Module) -> dict[str, Tensor]:
    """Give the parameters of the innermost connection."""
    return {name.removeprefix("inner."): p for name, p in connection.named_parameters()}


def let_through(connection: nn.Module, x: Tensor, place: Place) -> Tensor:
    """Give 1 − σ(W·x + b) of a gate, position by position; 1 where there is none."""
    gate = own(connection)
    if "gate.weight" not in gate:
        return torch.ones((), dtype=x.dtype)
    seen = x[:, :, :: place.stride, :: place.stride]
    found = seen.new_empty(len(x), place.width_out, *seen.shape[2:])
    for row, column in np.ndindex(*seen.shape[2:]):
        pixel = seen[:, :, row, column] @ gate["gate.weight"][:, :, 0, 0].T + gate["gate.bias"]
        found[:, :, row, column] = 1 - 1 / (1 + torch.exp(-pixel))
    return found


@pytest.mark.parametrize("place", [PLACE, ACROSS], ids=["same shape", "other shape"])
@pytest.mark.parametrize("description", SKIPPING, ids=repr)
def test_with_a_zero_branch_the_stream_is_carried_and_its_gradient_is_not_cut(
    description: ConnectionDescription, place: Place
):
    connection = randomised(description.build(place, Skip(shortcut=Padded().build(place)))).eval()
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64, requires_grad=True)
    y = description.collapse(connection(description.expand(x), Zero(place)))
    mixed = own(connection).get("mix", torch.ones(())).sum()
    carried = padded(x) if place.changes_shape else x
    close(y, mixed * let_through(connection, x, place) * carried)
    y.sum().backward()
    assert x.grad is not None
    assert (x.grad[:, :, :: place.stride, :: place.stride].abs() > 1e-6).all()


def test_with_a_zero_branch_the_sum_gives_the_stream_bit_for_bit():
    description = CONNECTIONS[0]
    x = torch.randn(2, 4, 3, 3)
    assert torch.equal(description.build(PLACE, Skip())(x, Zero(PLACE)), x)


@pytest.mark.parametrize("network", [resnet20(), preresnet20()], ids=lambda n: n.name)
@pytest.mark.parametrize("description", CONNECTIONS, ids=repr)
def test_every_parameter_of_a_network_is_alive(description: ConnectionDescription, network):
    torch.manual_seed(0)
    model = replace(network, connection=description, width=4).build(SMALL).train()
    model(torch.randn(64, 3, 8, 8)).square().sum().backward()
    dead = [
        name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0
    ]
    assert dead == []


@pytest.mark.parametrize("description", CONNECTIONS, ids=repr)
def test_the_trunk_equals_its_blocks_one_by_one(description: ConnectionDescription):
    model = replace(resnet20(), connection=description, width=4).build(SMALL).double().eval()
    trunk = model.get_submodule("trunk")
    assert isinstance(trunk, Trunk)
    x = model.get_submodule("stem")(torch.randn(2, 3, 8, 8, dtype=torch.float64))
    states = list(trunk.states(x))
    assert len(states) == 10
    close(trunk.norm(description.collapse(states[-1])), trunk(x))


@pytest.mark.parametrize("description", SKIPPING, ids=repr)
def test_a_network_whose_blocks_all_lost_their_branch_only_carries(
    description: ConnectionDescription,
):
    model = replace(resnet20(), connection=description, width=4).build(SMALL).double().eval()
    trunk, x = model.get_submodule("trunk"), torch.rand(2, 4, 8, 8, dtype=torch.float64)
    assert isinstance(trunk, Trunk)
    whole, none = trunk(x), trunk.without(range(9))(x)
    assert not torch.equal(whole, none)
    assert torch.equal(trunk.without(())(x), whole)
    first = own(trunk.blocks[0].get_submodule("connection"))
    streams = len(first.get("read", torch.ones(1)))
    for block in trunk.blocks:
        assert isinstance(block, Block)
        passed = let_through(block.connection, x, block.place)
        x = passed * (padded(x) if block.place.changes_shape else x)
    close(none, streams * x)  # they are alike at the start, and mixed by the identity
