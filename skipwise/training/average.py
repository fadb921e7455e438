"""The averaged weights of a run, and the BatchNorm statistics that belong to them."""

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from skipwise.data import Batches
from skipwise.randomness import seeded

EXAMPLES = 4096  # from which the statistics are estimated anew


class Average:
    """a ← (1 − s)·a + s·w, parameter by parameter; other tensors are those of the newest model.

    Args:
        model: The model whose weights are averaged; it is copied.
    """

    def __init__(self, model: nn.Module):
        self.model = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update(self, newest: nn.Module, share: float) -> None:
        """Take the newest weights in, with their share of the average."""
        for mine, theirs in zip(self.model.parameters(), newest.parameters(), strict=True):
            mine.lerp_(theirs, share)
        for mine, theirs in zip(self.model.buffers(), newest.buffers(), strict=True):
            mine.copy_(theirs)


def with_own_statistics(
    model: nn.Module, batches: Batches, *, autocast: torch.dtype | None
) -> nn.Module:
    """Estimate a model's BatchNorm statistics from training examples; they are of no older weights.

    Args:
        model: Changed in place, and given back.
        batches: The training batches; as in training, but at full size and unmixed.
        autocast: As in training.

    Source: Izmailov et al. (2018), "Averaging weights leads to wider optima", section 3.2.
    """
    count = math.ceil(min(EXAMPLES, len(batches.examples)) / batches.size)

    def inputs() -> Iterator[Tensor]:
        for step in range(count):
            yield batches.at(step, mixed=False).inputs

    with (
        seeded("statistics"),
        torch.autocast(batches.device.type, autocast, enabled=autocast is not None),
    ):
        update_bn(inputs(), model)
    return model
