"""Laws that every connection obeys, in a network and alone; they need no data."""

from dataclasses import replace

import pytest
import torch

from skipwise.branches import Zero
from skipwise.connections import ConnectionDescription, Plain, Skip
from skipwise.description import from_plain, read_yaml, to_plain, write_yaml
from skipwise.networks import Trunk, preresnet20, resnet20
from skipwise.shapes import Place
from tests.references import CONNECTIONS, SMALL, close

SKIPPING = [c for c in CONNECTIONS if not isinstance(c, Plain)]
PLACE = Place(width_in=4, width_out=4, index=1, depth=3)


@pytest.mark.parametrize("description", CONNECTIONS, ids=repr)
def test_a_description_survives_the_disk(description: ConnectionDescription):
    assert from_plain(to_plain(description)) == description
    assert from_plain(read_yaml(write_yaml(description), "file")) == description


@pytest.mark.parametrize("description", SKIPPING, ids=repr)
def test_with_a_zero_branch_the_carry_is_linear_in_the_stream_and_its_gradient_is_not_cut(
    description,
):
    connection = description.build(PLACE, Skip()).double().eval()
    x = torch.randn(2, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    y = description.collapse(connection(description.expand(x), Zero(PLACE)))
    y.sum().backward()
    assert x.grad is not None
    assert (x.grad.abs() > 1e-6).all()


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
    model = replace(resnet20(), connection=description, width=4).build(SMALL).eval()
    trunk, x = model.get_submodule("trunk"), torch.rand(2, 4, 8, 8)
    assert isinstance(trunk, Trunk)
    whole, none = trunk(x), trunk.without(range(9))(x)
    assert not torch.equal(whole, none)
    assert torch.equal(trunk.without(())(x), whole)
