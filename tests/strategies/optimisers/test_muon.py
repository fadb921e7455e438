"""Muon: singular values, memory layouts, other implementations, and who is updated by whom."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from skipwise.networks import resnet20
from skipwise.strategies import (
    LARS,
    SGD,
    Adagrad,
    Muon,
    Optimiser,
    Prodigy,
    Shampoo,
    adamw,
    muon,
    parameter_groups,
)
from skipwise.strategies.optimisers.muon import orthogonal
from tests.references import SMALL, close
from tests.strategies.optimisers import formulas

NETWORK = replace(resnet20(), width=4, blocks=(1, 1))


@pytest.mark.parametrize("shape", [(16, 16 * 9), (32, 16), (24, 24), (64, 3)])
def test_singular_values_of_the_update_are_near_one(shape: tuple[int, int]):
    noise = torch.Generator().manual_seed(0)
    matrices = torch.randn(8, *shape, generator=noise, dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    sizes = values.clamp_min(0.02 * values.norm(dim=1, keepdim=True))  # a square one may have 0
    made = orthogonal((left * sizes[:, None]) @ right)
    found = torch.linalg.svdvals(made)
    assert found.min() > 0.5
    assert found.max() < 1.5
    turned = left.mT @ made @ right.mT
    close(turned - torch.diag_embed(turned.diagonal(dim1=1, dim2=2)), torch.zeros_like(turned))


def test_the_size_of_the_gradient_does_not_count():
    matrix = torch.randn(1, 4, 9, dtype=torch.float64)
    close(orthogonal(1e-3 * matrix), orthogonal(matrix))


def test_matrices_that_go_together_are_each_made_orthogonal_alone():
    matrices = (
        torch.randn(3, 4, 9, dtype=torch.float64) * torch.tensor([1, 1e-3, 1e3])[:, None, None]
    )
    close(orthogonal(matrices), torch.cat([orthogonal(one[None]) for one in matrices]))


def test_factors_of_groups_stay_beside_the_share_and_gradients_as_they_were():
    hidden, rest = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(4))
    groups = [
        {"params": [p], "role": role, "weight_decay": 0.0, "factor": 0.5}
        for p, role in ((hidden, "branch"), (rest, "head"))
    ]
    optimiser = Muon(share=0.1).build(groups, rate=0.02)
    assert [group["factor"] for group in optimiser.param_groups] == pytest.approx([0.5, 0.05])
    hidden.grad, rest.grad = torch.randn(4, 3), torch.randn(4)
    before = hidden.grad.clone()
    optimiser.step()
    assert torch.equal(hidden.grad, before)


def test_a_zero_gradient_gives_no_update():
    assert torch.equal(orthogonal(torch.zeros(1, 3, 4)), torch.zeros(1, 3, 4))


def after_steps(layout: torch.memory_format, rule: Muon) -> dict[str, torch.Tensor]:
    noise = torch.Generator().manual_seed(0)
    network = NETWORK.build(SMALL)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=noise))
    network.to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    strategy = replace(muon(), optimiser=rule)
    optimiser = strategy.build(network)
    for _ in range(3):
        for p in network.parameters():
            gradient = torch.randn(p.shape, generator=noise)
            p.grad = gradient.contiguous(memory_format=layout) if p.dim() == 4 else gradient
        optimiser.step()
    return {name: p.detach() for name, p in network.named_parameters()}


@pytest.mark.parametrize("rule", [Muon(), Muon(nesterov=False, momentum=0.0)], ids=repr)
def test_channels_last_is_contiguous_bit_for_bit(rule: Muon):
    plain = after_steps(torch.contiguous_format, rule)
    last = after_steps(torch.channels_last, rule)
    assert all(torch.equal(value, last[name]) for name, value in plain.items())


def test_it_is_torchs_muon_on_matrices():
    """Torch rounds to bfloat16 in its iteration, so both agree to its rounding."""
    start, noise = torch.randn(6, 4), torch.Generator().manual_seed(0)
    mine, theirs = (nn.Parameter(start.clone()) for _ in range(2))
    group = {"params": [mine], "role": "branch", "weight_decay": 0.1, "factor": 1.0}
    ours = Muon().build([group], rate=0.02)
    other = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95)
    for _ in range(5):
        mine.grad = torch.randn(6, 4, generator=noise)
        theirs.grad = mine.grad.clone()
        ours.step()
        other.step()
    assert (mine - theirs).abs().max() < 0.05 * (mine - start).abs().max()


def test_a_filter_is_scaled_as_the_matrix_of_its_outputs_and_all_else():
    """24 outputs of 18 numbers: √(24/18), where the author's code goes by 3 × 3 pixels: 1."""
    noise = torch.Generator().manual_seed(0)
    start, gradient = torch.randn(2, 24, 2, 3, 3, generator=noise, dtype=torch.float64)
    weight = nn.Parameter(start.clone())
    weight.grad = gradient
    group = {"params": [weight], "role": "branch", "weight_decay": 0.0, "factor": 1.0}
    Muon(momentum=0.0, nesterov=False).build([group], rate=0.02).step()
    wanted = formulas.orthogonal(gradient.flatten(1).numpy()) * math.sqrt(24 / 18)
    close(start - weight.detach(), 0.02 * torch.from_numpy(wanted).view(start.shape))


def test_only_branches_are_muons():
    network = NETWORK.build(SMALL)
    optimiser = muon().build(network)
    hidden = {id(p) for g in optimiser.param_groups if g["role"] == "branch" for p in g["params"]}
    for p in network.parameters():
        p.grad = torch.ones_like(p)
    optimiser.step()
    for name, p in network.named_parameters():
        is_muons = "momentum" in optimiser.state[p]
        assert is_muons == (id(p) in hidden) == (name.startswith("trunk") and p.dim() == 4), name
        assert is_muons or "exp_avg" in optimiser.state[p]


def test_the_rest_is_updated_as_by_adamw_at_its_share_of_the_rate():
    networks = [NETWORK.build(SMALL) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    strategies = (muon(), replace(adamw(), weight_decay=0.01, peak_lr=0.02 * 0.05))
    for strategy, network in zip(strategies, networks, strict=True):
        optimiser = strategy.build(network)
        for group in optimiser.param_groups:
            group["lr"] = strategy.peak_lr * group["factor"]
        for p in network.parameters():
            p.grad = torch.ones_like(p)
        optimiser.step()
    mine, theirs = (dict(network.named_parameters()) for network in networks)
    for name in ("stem.conv.weight", "head.linear.weight", "head.linear.bias"):
        assert torch.equal(mine[name], theirs[name])


def descended(optimiser: torch.optim.Optimizer, steps: range) -> None:
    """Take steps whose gradients and rates are functions of the step."""
    for step in steps:
        noise = torch.Generator().manual_seed(step)
        for group in optimiser.param_groups:
            group["lr"] = 0.1 / (1 + step) * group["factor"]
            for p in group["params"]:
                p.grad = torch.randn(p.shape, generator=noise)
        optimiser.step()


@pytest.mark.parametrize("others", [LARS(trust=1.0), Shampoo(), Adagrad()], ids=repr)
def test_whatever_updates_the_rest_resumes_exactly_and_follows_the_rate(others: Optimiser):
    strategy, whole = replace(muon(), optimiser=Muon(others=others)), NETWORK.build(SMALL)
    first, second = copy.deepcopy(whole), NETWORK.build(SMALL)
    descended(strategy.build(whole), range(6))
    descended(before := strategy.build(first), range(3))
    second.load_state_dict(first.state_dict())
    after = strategy.build(second)
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    descended(after, range(3, 6))
    wanted = whole.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in second.state_dict().items())


def test_groups_without_roles_and_networks_without_branches_are_refused():
    with pytest.raises(ValueError, match=r"make the groups with skipwise\.strategies\.para"):
        Muon().build([{"params": [nn.Parameter(torch.ones(2, 2))]}], rate=0.1)
    with pytest.raises(ValueError, match="between stem and head, and here are none; take AdamW"):
        Muon().build(parameter_groups(nn.Linear(2, 2), 0.0), rate=0.1)
    with pytest.raises(ValueError, match="share must be positive, got 0"):
        Muon(share=0)
    with pytest.raises(ValueError, match="others must be a plain rule"):
        Muon(others=Muon())
    with pytest.raises(ValueError, match=r"takes no share of one, got share 0\.05; set share to 1"):
        Muon(others=Prodigy())
    groups = parameter_groups(NETWORK.build(SMALL), 0.0)
    assert Muon(others=Prodigy(), share=1.0).build(groups, rate=1.0).param_groups
    assert Muon(others=SGD(momentum=0.9)).others == SGD(momentum=0.9)
