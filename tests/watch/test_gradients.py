"""Norms of gradients by layer, and shares of branches, where there is nothing to measure."""

import math

import torch
from torch import nn

from skipwise.networks import Residual
from skipwise.watch.gradients import layer_norms, layers_of
from skipwise.watch.shares import branch_shares


def test_norms_are_euclidean_and_a_weight_without_a_gradient_has_none():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 4), nn.LayerNorm(4))
    model[0].requires_grad_(False)
    model.append(nn.Linear(4, 1))
    weights = layers_of(model)
    assert list(weights) == ["1", "3"]
    gradient = torch.arange(8.0).view(4, 2)
    weights["1"].grad = gradient
    found = layer_norms(list(weights.values()))
    wanted = math.sqrt(sum(float(number) ** 2 for number in gradient.flatten()))
    assert found.tolist() == [torch.tensor(wanted).item(), 0.0]


def test_where_neither_part_of_a_block_gives_anything_the_share_is_zero():
    model = nn.Sequential(Residual(nn.Linear(4, 4, bias=False)))
    assert branch_shares(model, torch.zeros(2, 4)) == {"0": 0.0}
