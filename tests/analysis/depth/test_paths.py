"""Paths by their length, effective depth, blocks taken away: closed forms and hand-made sums."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torchvision.models import resnet18

from skipwise.analysis import effective_depth, lesion, lesions, path_spectrum
from skipwise.analysis.depth.paths import design_depths
from skipwise.branches import PreActivation
from skipwise.connections import Additive, Plain
from skipwise.networks import Residual, ResNet, build_network
from tests.analysis.models import Scaled, Stack, along, residual_stack, scaled_stack
from tests.references import SMALL, randomised

X = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
PICTURES = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(4)


def test_scalar_branches_have_binomial_paths():
    found = path_spectrum(scaled_stack(0.3, 9), (X, torch.randn_like(X)), along)
    wanted = [math.comb(9, k) * 0.3**k / 1.3**9 for k in range(10)]
    assert found["additive share"] == pytest.approx(wanted, rel=1e-12)
    assert found.figures["effective depth"] == pytest.approx(2.0769231, abs=5e-8)
    assert effective_depth(scaled_stack(0.3, 9), (X, X), along) == pytest.approx(
        9 * 0.3 / 1.3, rel=1e-12
    )


def test_paths_of_54_blocks_lie_where_the_paper_says():
    share = path_spectrum(scaled_stack(1.0, 54), (X, X), along)["additive share"]
    assert sum(share[19:36]) == pytest.approx(0.980166, abs=5e-7)
    assert sum(share[5:18]) == pytest.approx(0.00453667, abs=5e-9)


def test_each_part_is_the_sum_over_its_paths_by_dense_jacobians():
    model = residual_stack(5, 3).double()
    x, direction = X[:1], torch.randn(1, 5, dtype=torch.float64)
    stream, jacobians = x, []
    for block in model.get_submodule("blocks").children():
        dense = torch.autograd.functional.jacobian(block.get_submodule("branch"), stream)
        assert isinstance(dense, Tensor)
        jacobians.append(dense.reshape(5, 5))
        stream = block(stream)
    parts = torch.zeros(4, 5, dtype=torch.float64)
    for taken in product([False, True], repeat=3):
        vector = direction[0]
        for through, jacobian in reversed(list(zip(taken, jacobians, strict=True))):
            vector = jacobian.T @ vector if through else vector
        parts[sum(taken)] += vector
    found = path_spectrum(model, (x, direction), along)
    assert found["energy"] == pytest.approx(parts.square().sum(1).tolist(), rel=1e-10)


@pytest.mark.parametrize("branch", [None, PreActivation()], ids=["v1", "v2"])
def test_the_parts_add_up_on_a_network_with_stages(branch):
    described = ResNet(name="small", blocks=(2, 2), width=4)
    if branch is not None:
        described = ResNet(name="small", blocks=(2, 2), width=4, branch=branch)
    network = randomised(build_network(described, SMALL)).double()
    found = path_spectrum(network, (PICTURES, LABELS))
    assert found.figures["sum error"] < 1e-12
    depth = effective_depth(network, (PICTURES, LABELS))
    assert found.figures["effective depth"] == pytest.approx(depth, rel=1e-9)


def test_torchvisions_paths_add_up():
    torch.manual_seed(0)
    model = resnet18(num_classes=5).double()
    found = path_spectrum(model, (nn.functional.interpolate(PICTURES, size=64), LABELS))
    assert found.figures["sum error"] < 1e-10


def test_designs_have_their_depths():
    for blocks, wanted in ((9, 2.260), (18, 3.111), (27, 3.647), (54, 4.601), (100, 5.476)):
        assert design_depths(blocks)["BatchNorm"] == pytest.approx(wanted, abs=6e-4)
    assert effective_depth(residual_stack(5, 4, Plain()).double(), (X, X), along) == pytest.approx(
        4
    )
    silent = residual_stack(5, 4, Additive(scale=0.0, learned=True)).double()
    assert effective_depth(silent, (X, X), along) == 0.0


@pytest.mark.parametrize("scale", [1.0, 1 / 3])
def test_random_networks_have_binomial_energies_and_the_depth_of_their_design(scale: float):
    blocks, depths, energies = 9, [], []
    for seed in range(20):
        model = residual_stack(128, blocks, Additive(scale=scale), seed)
        batch = torch.randn(2, 2, 128)
        found = path_spectrum(model, (batch[0], batch[1]), along)
        depths.append(found.figures["effective depth"])
        total = float(batch[1].square().sum())
        energies.append([energy / total for energy in found["energy"]])
    wanted = design_depths(blocks)["unscaled" if scale == 1 else "1/√L"]
    assert abs(np.mean(depths) - wanted) < 5 * np.std(depths, ddof=1) / math.sqrt(20)
    for k in range(4):
        values = [row[k] for row in energies]
        expected = math.comb(blocks, k) * scale ** (2 * k)
        error = np.std(values, ddof=1) / math.sqrt(20)
        assert abs(np.mean(values) - expected) < 5 * error + 1e-4 * expected


def test_what_has_unknown_blocks_has_no_paths():
    class Ambiguous(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.Linear(5, 5), nn.Linear(5, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.left(x) + self.right(x)

    model = Stack(Ambiguous(), Ambiguous()).double()
    with pytest.raises(ValueError, match=r"^paths cannot be followed through blocks\.0: its skip"):
        path_spectrum(model, (X, X), along)


def mean_square(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).square().mean()


def test_a_removed_branch_is_the_trunk_without_it():
    network = randomised(build_network(ResNet(name="small", blocks=(2, 2), width=4), SMALL))
    network = network.double().eval()
    found = lesions(network, (PICTURES, LABELS))
    head, stem, trunk = (network.get_submodule(name) for name in ("head", "stem", "trunk"))
    whole = nn.functional.cross_entropy(network(PICTURES), LABELS).item()
    for number in range(4):
        without = trunk.without([number])  # pyright: ignore[reportCallIssue]
        loss = nn.functional.cross_entropy(head(without(stem(PICTURES))), LABELS).item()
        assert found["change of loss"][number] == pytest.approx(loss - whole, rel=1e-9)
    each = nn.functional.cross_entropy(network(PICTURES), LABELS, reduction="none")
    less = trunk.without([1])  # pyright: ignore[reportCallIssue]
    after = nn.functional.cross_entropy(head(less(stem(PICTURES))), LABELS, reduction="none")
    differences = (after - each).detach().numpy()
    low, high = stats.t.interval(0.95, 3, differences.mean(), stats.sem(differences))
    assert (found["low"][1], found["high"][1]) == pytest.approx((low, high), rel=1e-9)
    assert "evaluation mode" in found.notes[0]


def test_torchvisions_lesion_writes_nothing_in_place():
    torch.manual_seed(0)
    model = resnet18(num_classes=5).double().eval()
    found = lesions(model, (nn.functional.interpolate(PICTURES, size=64), LABELS))
    silent = resnet18(num_classes=5).double().eval()
    silent.load_state_dict(model.state_dict())
    with torch.no_grad():  # the branch then ends in zeros
        silent.get_parameter("layer2.1.bn2.weight").zero_()
        silent.get_parameter("layer2.1.bn2.bias").zero_()
        x = nn.functional.interpolate(PICTURES, size=64)
        change = nn.functional.cross_entropy(silent(x), LABELS) - nn.functional.cross_entropy(
            model(x), LABELS
        )
    assert found["change of loss"][3] == pytest.approx(change.item(), rel=1e-9)


def test_a_silent_block_is_not_missed_and_a_plain_one_cannot_be_removed():
    silent = residual_stack(5, 3, Additive(scale=0.0, learned=True)).double()
    assert lesions(silent, (X, X), mean_square)["change of loss"] == (0.0, 0.0, 0.0)
    plain = lesions(residual_stack(5, 3, Plain()).double(), (X, X), mean_square)
    assert all(map(math.isnan, plain["change of loss"]))


def test_blocks_that_commute_may_stand_in_any_order():
    names = [f"blocks.{n}" for n in range(4)]
    order = dict(zip(names, [names[2], names[0], names[3], names[1]], strict=True))
    blocks = Stack(*(Residual(Scaled(a)) for a in (0.1, 0.5, -0.3, 0.9)))
    assert lesion(blocks, (X, X), mean_square, order=order) == pytest.approx(0, abs=1e-12)
    others = residual_stack(5, 4).double()
    changed = lesion(others, (X, X), mean_square, order=order)
    stream = X
    for name in order.values():
        stream = others.get_submodule(name)(stream)
    wanted = mean_square(stream, X) - mean_square(others(X), X)
    assert changed == pytest.approx(wanted.item(), rel=1e-9)


def test_several_lesions_at_once_and_wrong_names():
    model = residual_stack(5, 3).double()
    changed = lesion(model, (X, X), mean_square, without=["blocks.0", "blocks.2"])
    wanted = mean_square(model.get_submodule("blocks.1")(X), X) - mean_square(model(X), X)
    assert changed == pytest.approx(wanted.item(), rel=1e-9)
    with pytest.raises(ValueError, match=r"^blocks\.9 is none of the blocks"):
        lesion(model, (X, X), mean_square, without=["blocks.9"])
    with pytest.raises(ValueError, match="a permutation of names"):
        lesion(model, (X, X), mean_square, order={"blocks.0": "blocks.1"})
    assert "forward" not in vars(model.get_submodule("blocks.0"))


def test_a_branch_of_a_transformer_is_removed_at_both_sums():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, norm_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).double()
    x = torch.randn(3, 4, 8, dtype=torch.float64)
    changed = lesion(model, (x, x), mean_square, without=["layers.0"])
    wanted = mean_square(model.get_submodule("layers.1")(x), x) - mean_square(model(x), x)
    assert changed == pytest.approx(wanted.item(), rel=1e-9)
