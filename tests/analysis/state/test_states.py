"""Ranks, similarity and probes of states that are known."""

import math

import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis import linear_probes, state_ranks, state_similarity, weight_ranks
from skipwise.analysis.state import (
    directions_for,
    effective_rank,
    hsic,
    linear_cka,
    stable_rank,
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Chain(nn.Module):
    """Linear maps one after the other; each is a block."""

    def __init__(self, *matrices: Tensor):
        super().__init__()
        self.blocks = nn.ModuleList()
        for matrix in matrices:
            layer = nn.Linear(*matrix.mT.shape, bias=False, dtype=torch.float64)
            layer.weight.data = matrix.clone()
            self.blocks.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


EYE = torch.eye(6, dtype=torch.float64)
ROTATION = torch.linalg.qr(drawn(6, 6)).Q


def test_ranks_of_known_spectra():
    assert effective_rank(torch.ones(7)) == pytest.approx(7)
    assert effective_rank(torch.tensor([3.0, 0, 0])) == pytest.approx(1)
    assert stable_rank(torch.tensor([2.0, 1, 1])) == pytest.approx(1.5)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(torch.tensor([3.0, 1])) == pytest.approx(math.exp(entropy))
    assert directions_for(torch.tensor([90.0, 9, 1])) == 2
    assert effective_rank(torch.zeros(3)) == stable_rank(torch.zeros(3)) == 0.0


def test_ranks_of_states_follow_from_the_singular_values_of_all_batches():
    inputs, narrow = drawn(40, 6), EYE.clone()
    narrow[2:] = 0
    model = Chain(ROTATION, narrow)
    found = state_ranks(model, [(inputs[:16], None), (inputs[16:], None)])
    singular = torch.linalg.svdvals(inputs - inputs.mean(0))
    assert found["effective rank"][0] == pytest.approx(effective_rank(singular), rel=1e-10)
    assert found["stable rank"][0] == pytest.approx(stable_rank(singular), rel=1e-10)
    assert found["for 99 %"] == (6.0, 2.0)
    assert found["width"] == (6.0, 6.0)


def test_the_mean_cosine_is_that_of_all_pairs():
    inputs = drawn(10, 6) + 1
    model = Chain(EYE, EYE)
    unit = inputs / inputs.norm(dim=1, keepdim=True)
    expected = ((unit @ unit.mT).sum() - 10) / 90
    assert state_ranks(model, (inputs, None))["mean cosine"][0] == pytest.approx(expected.item())


def test_of_a_convolution_the_channels_are_the_units():
    model = nn.Sequential(*(nn.Conv2d(3, 3, 1, bias=False, dtype=torch.float64) for _ in range(2)))
    model[0].weight.data = torch.eye(3, dtype=torch.float64)[:, :, None, None]
    inputs = drawn(5, 3, 4, 4)
    rows = inputs.movedim(1, -1).reshape(-1, 3)
    expected = effective_rank(torch.linalg.svdvals(rows - rows.mean(0)))
    found = state_ranks(model, (inputs, None))
    assert found["width"] == (3.0, 3.0)
    assert found["effective rank"][0] == pytest.approx(expected, rel=1e-10)


def test_ranks_of_weights_are_those_of_their_matrix():
    found = weight_ranks(Chain(EYE, 2 * EYE[:, :1] @ EYE[:1]))
    assert found["effective rank"] == pytest.approx((6.0, 1.0), abs=1e-5)
    assert found["stable rank"] == pytest.approx((6.0, 1.0), abs=1e-5)


@pytest.mark.parametrize("debiased", [False, True])
def test_similarity_does_not_see_rotation_and_scale(debiased: bool):
    states = drawn(20, 6)
    assert linear_cka(states, -3 * states @ ROTATION, debiased=debiased) == pytest.approx(1)


def test_the_biased_similarity_is_the_formula_of_features():
    x, y = drawn(20, 6), drawn(20, 4, seed=1)
    x, y = x - x.mean(0), y - y.mean(0)
    expected = (y.mT @ x).square().sum() / ((x.mT @ x).norm() * (y.mT @ y).norm())
    assert linear_cka(x + 5, y - 2, debiased=False) == pytest.approx(expected.item())


def test_independent_states_are_alike_by_bias_only():
    # n = p = 100: p/(n + p) = 0.5 where the bias is left in, 0 without it.
    pairs = [(drawn(100, 100, seed=2 * n), drawn(100, 100, seed=2 * n + 1)) for n in range(12)]
    biased = torch.tensor([linear_cka(*pair, debiased=False) for pair in pairs])
    fair = torch.tensor([linear_cka(*pair) for pair in pairs])
    assert biased.mean().item() == pytest.approx(0.5, abs=0.005)
    assert abs(fair.mean().item()) < 5 * fair.std().item() / math.sqrt(12)


def test_the_debiased_dependence_is_the_sum_over_four_different_examples():
    one, two = (products @ products.mT for products in (drawn(6, 3), drawn(6, 2, seed=1)))
    total, count = 0.0, 0
    for i in range(6):
        for j in range(6):
            for q in range(6):
                for r in range(6):
                    if len({i, j, q, r}) == 4:
                        total += (one[i, j] * (two[i, j] + two[q, r] - 2 * two[i, q])).item()
                        count += 1
    assert hsic(one, two) == pytest.approx(total / count, rel=1e-10)


def test_similarity_between_depths_is_that_of_the_states():
    inputs, matrix = drawn(12, 6), drawn(6, 6, seed=3)
    found = state_similarity(Chain(ROTATION, matrix, ROTATION), (inputs, None))
    after = inputs @ ROTATION.mT
    expected = linear_cka(after, after @ matrix.mT)
    assert found["blocks.1"][0] == pytest.approx(expected, rel=1e-10)
    assert found["blocks.2"][1] == pytest.approx(1, rel=1e-10)
    assert found.figures["first and last"] == pytest.approx(expected, rel=1e-10)


def test_classes_that_a_plane_parts_are_read_off_until_they_are_lost():
    inputs = drawn(80, 6)
    classes = (inputs[:, 0] > 0).long()
    inputs[:, 0] += 6 * (2 * classes - 1)
    lost = EYE.clone()
    lost[0, 0] = 0
    found = linear_probes(Chain(ROTATION, ROTATION.mT, lost), (inputs, classes))
    assert found["accuracy"][:2] == (1.0, 1.0)
    assert found["accuracy"][2] < 0.75
    assert found.figures["saturates at block"] == 0
    assert found.figures["examples fitted"] == 40


def test_what_is_wrong_is_said():
    model, batch = Chain(EYE, EYE), (drawn(8, 6), None)
    with pytest.raises(ValueError, match="targets must be one whole number an example"):
        linear_probes(model, batch)
    with pytest.raises(ValueError, match="the examples are of one class"):
        linear_probes(model, (batch[0], torch.zeros(8, dtype=torch.long)))
    with pytest.raises(ValueError, match="similarity needs 4 examples or more, got 3"):
        state_similarity(model, (drawn(3, 6), None))
    with pytest.raises(ValueError, match="no weight that is a matrix"):
        weight_ranks(nn.BatchNorm1d(3))
    shared = nn.Linear(6, 6, dtype=torch.float64)
    with pytest.raises(ValueError, match="runs 2 times in one pass"):
        state_ranks(nn.Sequential(shared, nn.ReLU(), shared), batch, sites="0")
