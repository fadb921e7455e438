"""The examples that monitors look at: the same ones throughout a run, and after a resume."""

from typing import Any, final

from torch import Tensor

from skipwise.data import Batch
from skipwise.randomness import seeded
from skipwise.shapes import Scalar
from skipwise.tasks import Task
from skipwise.training import Run

MEMORY = 256 * 2**20  # bytes of inputs that are kept for a monitor, at most


@final
class Probe:
    """The first training batches of a run, as the network reads them in training.

    A batch is a function of seed and step, so making one again moves nothing in the training.

    Args:
        run: The run.
        task: Gives the loss.
    """

    def __init__(self, run: Run, task: Task):
        self.run, self.task = run, task
        self._made: dict[int, Batch] = {}

    @property
    def whole(self) -> int:
        """The examples of a batch as this process trains on it."""
        own = self.run.batches.own
        return own.stop - own.start

    def available(self, examples: int) -> int:
        """Give how many of so many examples there are, and that may be kept in memory."""
        inputs = self._batch(0).inputs
        one = inputs[0].numel() * inputs.element_size()
        most = max(MEMORY // (one * self.whole), 1) * self.whole
        return min(examples, most, len(self.run.batches.examples))

    def batches(self, examples: int) -> list[tuple[Tensor, Batch]]:
        """Give pairs (inputs, batch) of so many examples.

        Args:
            examples: In all, so many as are available; what is more than one batch comes in batches
                of the size trained with, which counts when statistics are taken from them.
        """
        found: list[tuple[Tensor, Batch]] = []
        while examples > 0:
            part = self._batch(len(found)).cut(slice(0, examples))
            found.append((part.inputs, part))
            examples -= len(part)
        return found

    def loss(self, output: Any, batch: Batch) -> Scalar:
        """Give the mean training loss of a batch, without what counts right answers around it."""
        total, count = self.task.loss(output, batch)
        return total / count

    def _batch(self, number: int) -> Batch:
        if number not in self._made:
            run = self.run
            with seeded(run.seed, "batch", number, run.world.rank):
                self._made[number] = run.batches.at(number)
        return self._made[number]
