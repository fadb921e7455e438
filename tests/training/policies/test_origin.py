"""The loss of a batch with other weights is the mean by weight, whatever the parts."""

import copy

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from skipwise.data import Batch
from skipwise.strategies import momentum
from skipwise.training.policies.origin import loss_with
from tests.training.policies.test_guard import a_run, explosive, first_batch

WEIGHTS = torch.tensor([0.2, 1.0, 1.5, 3.0, 0.7])


def weighted(output: Tensor, batch: Batch) -> tuple[Tensor, float]:
    total = cross_entropy(output, batch.targets, weight=WEIGHTS, reduction="sum")
    return total, float(WEIGHTS[batch.targets].sum())


@pytest.mark.parametrize("parts", [1, 3])
def test_a_loss_with_other_weights_is_their_weighted_mean(parts: int):
    run = a_run(momentum(), explosive(1.0, depth=2))
    run.loss, run.parts = weighted, parts
    batch, other = first_batch(run), copy.deepcopy(run.model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.1)
        output = other(batch.inputs).double()
    truth = cross_entropy(output, batch.targets, weight=WEIGHTS.double())  # divides by the weights
    assert loss_with(run, batch, other.state_dict()) == pytest.approx(float(truth), rel=1e-6)
