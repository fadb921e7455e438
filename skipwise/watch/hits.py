"""Right answers in training, counted on the device as the loss is computed."""

from typing import final

import torch
from torch import Tensor

from skipwise.data import Batch
from skipwise.tasks import Task
from skipwise.training import Counting
from skipwise.training.run import Loss


@final
class Hits(Counting):
    """The training loss, which also counts how many answers were right.

    Args:
        loss: The loss of the run.
        task: Says which answers are right.
    """

    def __init__(self, loss: Loss, task: Task):
        self.loss, self.task = loss, task
        self.__wrapped__ = loss  # what the loss of a step is computed by when it is asked for again
        self._right: Tensor | None = None
        self._count = 0
        self._total: Tensor | None = None

    def __call__(self, output: Tensor, batch: Batch) -> tuple[Tensor, float | Tensor]:
        """Give the loss as it is, after counting."""
        with torch.no_grad():
            right = self.task.right(output, batch)
        if right is not None:
            self._right = right if self._right is None else self._right + right
            self._count += len(batch)
        return self.loss(output, batch)

    def counts(self, device: torch.device) -> Tensor:
        """Give how many answers were right, and how many there were, of this process."""
        found = torch.full((2,), self._count, dtype=torch.float64, device=device)
        found[0] = 0.0 if self._right is None else self._right
        return found

    def recount(self, total: Tensor) -> None:
        """Take those of all processes together for one's own."""
        if self._right is not None:  # where no answer is just right, it is none in any process
            self._total = total

    def take(self) -> Tensor | None:
        """Give the share of right answers since it was last taken, shape ``()``, and count anew.

        Of several processes it is that of all, if it is taken after every step.
        """
        right, count = self._right, self._count
        total, self._total = self._total, None
        self._right, self._count = None, 0
        if total is not None:
            return (total[0] / total[1]).float()
        return None if right is None else right / count
