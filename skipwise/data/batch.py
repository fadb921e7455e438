"""What crosses from the data to the training: a batch of examples."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from skipwise.data.placing import moved
from skipwise.shapes import Index


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Examples, ready for the network.

    Args:
        inputs: Shape ``(batch, width, *space)``.
        targets: Class indices ``(batch,)`` or numbers ``(batch, *outputs)``.
        keys: One random key per example, from (seed, step, global position); None in evaluation.
        index: Which examples of their part these are.
    """

    inputs: Tensor
    targets: Tensor
    index: Index
    keys: Index | None = None

    def __len__(self) -> int:
        return len(self.index)

    def parts(self, count: int) -> list["Batch"]:
        """Cut the batch into ``count`` parts of nearly equal size; none of them is empty."""
        if count == 1:
            return [self]
        bounds = torch.linspace(0, len(self), min(count, len(self)) + 1).round().long().tolist()
        return [self.cut(slice(a, b)) for a, b in pairwise(bounds)]

    def cut(self, run: slice) -> "Batch":
        """Give some of the examples, which stand together."""
        return self._mapped(lambda tensor: tensor[run])

    def to(self, device: torch.device) -> "Batch":
        """Move all tensors to a device without waiting."""
        return self._mapped(lambda tensor: moved(tensor, device))

    def _mapped(self, change: Any) -> "Batch":
        tensors = {name: value for name, value in vars(self).items() if value is not None}
        return replace(self, **{name: change(value) for name, value in tensors.items()})
