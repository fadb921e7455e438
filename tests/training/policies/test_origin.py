"""Where an explosion began is not what follows it; a loss with other weights is a weighted mean."""

import copy

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from skipwise.data import Batch
from skipwise.strategies import momentum
from skipwise.training.policies.origin import loss_with, origin
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


def test_a_layer_that_reads_what_exploded_is_not_named():
    run = a_run(momentum(), explosive(1.0, depth=3))
    earlier = {name: value.clone() for name, value in run.model.state_dict().items()}
    with torch.no_grad():
        run.model.get_parameter("4.weight").mul_(1e4)
        run.model.get_parameter("7.weight").mul_(1.9)  # its output grows 1.9e4 times
    found = origin(run, first_batch(run), earlier, "before")
    assert found == "4, whose output, beside its input, is 1e+04 times that before"
