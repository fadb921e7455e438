"""The two parts of a gradient: closed forms, hand-made products, and a sum that must come out."""

import math

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from skipwise.analysis import gradient_split
from skipwise.branches import Basic, PreActivation
from skipwise.connections import Additive, Highway, Padded, Plain, Projected
from skipwise.networks import Residual, ResNet, build_network
from skipwise.shapes import Place
from tests.analysis.models import Scaled, Stack, TwoLayers, along, residual_stack, scaled_stack
from tests.references import CONNECTIONS, SMALL, randomised

X = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
PICTURES = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([0, 1, 2, 3])


@pytest.mark.parametrize("factor", [0.3, 2.0])
def test_a_scalar_branch_has_the_closed_form(factor: float):
    split = gradient_split(scaled_stack(factor, 9), (X, torch.randn_like(X)), along)
    assert split["energy ratio"] == pytest.approx([factor] * 9, rel=1e-12)
    assert split["branch share"] == pytest.approx([factor / (1 + factor)] * 9, rel=1e-12)
    assert split["cosine"] == pytest.approx([1.0] * 9, rel=1e-12)
    wanted = [(1 + factor) ** -(9 - block) for block in range(9)]
    assert split["global identity share"] == pytest.approx(wanted, rel=1e-12)
    norms = split["gradient norm"]
    assert norms[0] == pytest.approx((1 + factor) ** 8 * norms[8], rel=1e-12)


def by_hand(block: nn.Module, x: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
    """Both products with dense Jacobians, example by example being the same function."""
    skip, branch = block.get_submodule("connection"), block.get_submodule("branch")
    z = skip(x, branch)
    at_sum = vector * (z > 0)
    jacobian = torch.autograd.functional.jacobian(branch, x)
    return at_sum, torch.einsum("ab,abcd->cd", at_sum, jacobian)


def test_the_activation_after_the_sum_acts_before_the_split():
    torch.manual_seed(0)
    block = Residual(TwoLayers(5), activation=nn.ReLU(inplace=True)).double()
    direction = torch.randn_like(X)
    split = gradient_split(Stack(block), (X, direction), along)
    skip, branch = by_hand(block, X, direction)
    assert split["skip norm"] == pytest.approx([skip.norm().item()], rel=1e-10)
    assert split["branch norm"] == pytest.approx([branch.norm().item()], rel=1e-10)
    cosine = (skip * branch).sum() / skip.norm() / branch.norm()
    assert split["cosine"] == pytest.approx([cosine.item()], rel=1e-9)


@pytest.mark.parametrize("connection", CONNECTIONS, ids=str)
@pytest.mark.parametrize("branch", [Basic(), PreActivation()], ids=["v1", "v2"])
def test_the_parts_add_up_to_the_gradient_for_every_connection(connection, branch):
    described = ResNet(name="small", blocks=(1, 2), width=4, branch=branch, connection=connection)
    network = randomised(build_network(described, SMALL)).double()
    batch = (PICTURES[..., :8, :8].double(), LABELS)
    split = gradient_split(network, batch)
    assert split.figures == {"blocks split": 3, "blocks": 3}
    assert max(split["sum error"]) < 1e-12


def test_a_plain_network_has_no_skip_and_a_block_of_zeros_no_branch():
    plain = gradient_split(residual_stack(5, 2, Plain()).double(), (X, X), along)
    assert plain["branch share"] == pytest.approx([1.0, 1.0], rel=1e-12)
    assert plain["skip norm"] == (0.0, 0.0)
    assert "no skip" in plain.notes[0]
    silent = residual_stack(5, 2, Additive(scale=0.0, learned=True)).double()
    split = gradient_split(silent, (X, X), along)
    assert split["energy ratio"] == split["branch share"] == (0.0, 0.0)
    assert split["gradient norm"][0] == split["gradient norm"][1]
    assert split["global identity share"] == (1.0, 1.0)


@pytest.mark.parametrize("shortcut", [Padded(), Projected()], ids=["A", "B"])
def test_a_shortcut_has_a_jacobian_of_its_own(shortcut):
    described = ResNet(name="small", blocks=(1, 1), width=4, shortcut=shortcut)
    network = randomised(build_network(described, SMALL)).double().eval()
    x = PICTURES[..., :8, :8].double()
    split = gradient_split(network, (x, LABELS))
    block = network.get_submodule("trunk.blocks.1")
    with torch.enable_grad():
        y = network.get_submodule("trunk.blocks.0")(network.get_submodule("stem")(x))
        z = block.get_submodule("connection.skip.shortcut")(y) + block.get_submodule("branch")(y)
        logits = network.get_submodule("head")(torch.relu(z))
        loss = nn.functional.cross_entropy(logits, LABELS)
        (at_sum,) = torch.autograd.grad(loss, z, retain_graph=True)
        y = y.detach().requires_grad_()
        carried = block.get_submodule("connection.skip.shortcut")(y)
        (skip,) = torch.autograd.grad(carried, y, at_sum)
    assert split["skip norm"][1] == pytest.approx(skip.norm().item(), rel=1e-10)


def test_torchvisions_network_is_split_through_its_in_place_operations():
    torch.manual_seed(0)
    model = resnet18(num_classes=5)
    split = gradient_split(model, (torch.nn.functional.interpolate(PICTURES, size=64), LABELS))
    assert split.rows[0] == "layer1.0"
    assert len(split.rows) == 8
    assert split.figures["blocks split"] == 8
    assert max(split["sum error"]) < 1e-5
    shares = split["branch share"]
    assert all(math.isfinite(share) for share in shares)


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_transformers_layer_is_split_at_both_of_its_sums(norm_first: bool):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, norm_first=norm_first)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).double()
    x = torch.randn(2, 4, 8, dtype=torch.float64)
    split = gradient_split(model, (x, torch.randn_like(x)), along)
    assert split.figures["blocks split"] == 3
    assert max(split["sum error"]) < 1e-10
    assert all(ratio > 0 for ratio in split["energy ratio"])
    if norm_first:  # the skip is then the identity, and g_skip is the gradient behind the block
        assert split["skip norm"][0] == pytest.approx(split["gradient norm"][1], rel=1e-12)


class Ambiguous(nn.Module):
    """Two maps added: which of them is the skip, nobody can say."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(5, 5), nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.left(x) + self.right(x)


class Named(Ambiguous):
    """The same, but one of them is called a shortcut."""

    def __init__(self):
        super().__init__()
        self.shortcut = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.right(x)


class Gated(nn.Module):
    """A skip that is no sum."""

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(x, self.map(x), 0.5)


def test_what_cannot_be_told_apart_is_unknown_and_named_parts_are_not():
    split = gradient_split(
        Stack(Ambiguous(), Named(), Gated()).double(), (X, X), along, sites="blocks.*"
    )
    ratios = split["energy ratio"]
    assert math.isnan(ratios[0])
    assert ratios[1] > 0
    assert math.isnan(ratios[2])
    assert [note.split(",")[0] for note in split.notes] == [
        "blocks.0: UNKNOWN",
        "blocks.2: UNKNOWN",
    ]


def test_a_skip_around_the_block_is_noticed():
    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = nn.ModuleList([Residual(Scaled(0.5)), Residual(Scaled(0.5))])

        def forward(self, x: Tensor) -> Tensor:
            return self.inside[1](self.inside[0](x)) + 3 * x

    split = gradient_split(Around().double(), (X, X), along)
    assert math.isnan(split["energy ratio"][0])
    assert split["energy ratio"][1] == pytest.approx(0.5)
    assert "past the block" in split.notes[0]


def test_a_gate_is_part_of_what_it_gates():
    torch.manual_seed(0)
    place = Place(width_in=5, width_out=5, dimensions=0)
    block = Residual(TwoLayers(5), Highway(bias=-1.0), place=place).double()
    direction = torch.randn_like(X)
    split = gradient_split(Stack(block), (X, direction), along)
    x = X.clone().requires_grad_()
    gate = torch.sigmoid(block.get_submodule("connection.gate")(x))
    (skip,) = torch.autograd.grad((1 - gate) * x, x, direction, retain_graph=True)
    (branch,) = torch.autograd.grad(gate * block.branch(x), x, direction)
    assert split["skip norm"] == pytest.approx([skip.norm().item()], rel=1e-10)
    assert split["branch norm"] == pytest.approx([branch.norm().item()], rel=1e-10)
