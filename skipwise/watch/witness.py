"""A measure that also keeps what stands behind its metrics: confusions, confident mistakes."""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from skipwise.data import Batch, Examples
from skipwise.randomness import seeded
from skipwise.records import EvaluationRecord, Mistake, PartEvidence
from skipwise.tasks import Classification, Regression, Task
from skipwise.training import ALONE, World
from skipwise.watch.pictures import picture_of

MISTAKES = 24


@final
class Witness:
    """A task that is measured over one part, and what else its outputs say.

    Args:
        task: What is measured.
        world: The processes that share the examples out; all get the same evidence.
    """

    def __init__(self, task: Task, world: World = ALONE):
        self.task, self.world = task, world
        self._pairs: list[Tensor] = []  # truth · classes + said, of every example
        self._mistakes: list[Tensor] = []
        self._sums: Mapping[str, Tensor] = {}

    def tally(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Give the task's sums, and those of the evidence, which add up likewise."""
        sums = self.task.tally(output, batch)
        if isinstance(self.task, Classification):
            self._pairs.append(batch.targets * self.task.classes + output.argmax(1))
            self._mistakes.append(_worst(output, batch))
        elif isinstance(self.task, Regression):
            errors = (batch.targets.double() - output.double()).square().flatten(1).sum(1)
            sums["loss_squares"] = errors.square().sum()
        return sums

    def metrics(self, tally: Mapping[str, Tensor]) -> dict[str, float]:
        """Give the task's metrics."""
        self._sums = tally
        return self.task.metrics(tally)

    def per_class(self, tally: Mapping[str, Tensor]) -> Mapping[str, Sequence[float]]:
        """Give the task's metrics by class."""
        return self.task.per_class(tally)

    def evidence(self, record: EvaluationRecord, examples: Examples) -> PartEvidence:
        """Give what was seen in the evaluation that gave the record, in all processes together.

        Args:
            record: Its record.
            examples: Its part, for the pictures of the mistakes.
        """
        deviation = float("nan")
        if "loss_squares" in self._sums:
            mean = record.metrics["loss"]
            square = float(self._sums["loss_squares"]) / record.examples
            deviation = max(square - mean**2, 0.0) ** 0.5
        return PartEvidence(
            step=record.step,
            examples=record.examples,
            confusion=self._confusion(),
            mistakes=self._shown(examples, record.part),
            per_class=record.per_class,
            loss_deviation=deviation,
        )

    def _confusion(self) -> list[list[int]]:
        """Count the pairs (truth, said) that occur, in their order, over all processes.

        A matrix would have the square of the classes' number, which of thousands fills the memory.
        """
        if not isinstance(self.task, Classification) or not self._pairs:
            return []
        own = torch.cat(self._pairs).cpu()
        (most,) = self.world.largest(len(own))
        filled = torch.cat([own, own.new_full((most - len(own),), -1)])
        every = torch.cat(self.world.each(filled))
        pairs, counts = every[every >= 0].unique(return_counts=True)
        classes = self.task.classes
        found = zip(pairs.tolist(), counts.tolist(), strict=True)
        return [[*divmod(pair, classes), count] for pair, count in found]

    def _shown(self, examples: Examples, part: str) -> list[Mistake]:
        if not self._mistakes:
            return []
        own = _highest(torch.cat(self._mistakes).cpu())
        filled = torch.full((MISTAKES, own.shape[1]), -1.0, dtype=own.dtype)
        filled[: len(own)] = own
        rows = torch.cat(self.world.each(filled))
        # Equal probabilities stand in the order of the examples, however these were shared out.
        rows = _highest(rows[rows[:, 2].argsort(stable=True)])
        rows = rows[rows[:, 0] >= 0]
        if not len(rows):
            return []
        index = rows[:, 2].long()
        with seeded("evaluate", part):  # a data set of the user's own may draw
            raw, _ = examples.gather(index)
        return [
            Mistake(
                index=int(place),
                truth=int(truth),
                said=int(said),
                probability=round(probability, 6),
                probability_of_truth=round(of_truth, 6),
                picture=picture_of(picture),
                name=name,
            )
            for (probability, of_truth, place, truth, said), picture, name in zip(
                rows.tolist(), raw, examples.called(index), strict=True
            )
        ]


def _worst(output: Tensor, batch: Batch) -> Tensor:
    """Give (probability, that of the truth, index, truth, said) of the most confident mistakes.

    Right answers have probability −1. Float64 holds every index exactly.
    """
    probabilities = output.double().softmax(1)
    probability, said = probabilities.max(1)
    of_truth = probabilities.gather(1, batch.targets[:, None])[:, 0]
    wrong = torch.where(said != batch.targets, probability, -1.0)
    rows = torch.stack([wrong, of_truth, batch.index, batch.targets, said], dim=1)
    return _highest(rows)


def _highest(rows: Tensor) -> Tensor:
    """Give the first rows by falling probability; where it is equal they stay in their order."""
    return rows[rows[:, 0].argsort(descending=True, stable=True)[:MISTAKES]]
