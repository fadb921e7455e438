"""What is handed to an examination, and what the reader should know of it."""

import math
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from skipwise.analysis import Rule
from skipwise.data import Batch, Batches, Dataset, Examples
from skipwise.description import Call
from skipwise.diagnosis import Diagnosis, Reader, examine
from skipwise.diagnosis.history import History
from skipwise.diagnosis.rehearsal import largest_rate
from skipwise.experiment import Experiment
from skipwise.tasks import Task
from skipwise.training import Run

Pair = tuple[Any, Any]
EXAMPLES = 1024  # of each part


@final
@dataclass(frozen=True, kw_only=True)
class Patient:
    """A model with all that an examination can make use of.

    Args:
        name: What it is, in a few words.
        model: The module.
        batches: Pairs of training examples as they are, of the size that is trained with.
        updated_on: The batches that training would see next, augmented.
        loss: ``(output, targets) → mean over the batch``.
        optimiser: At its rate, with its state.
        history: What the run has gone through.
        validation: Pairs of the validation part.
        start: The weights before the first update.
        full_batch: Whether a batch is all the data that is trained on.
        reader: In whose words cures are given.
        facts: For the reader; plain values.
        folder: Where a diagnosis of it goes; None where it has no place of its own.
    """

    name: str
    model: nn.Module
    batches: Any
    updated_on: Any = None
    loss: Any = None
    optimiser: Optimizer | Rule | None = None
    history: History | None = None
    validation: Any = None
    start: Mapping[str, Tensor] | None = None
    full_batch: bool = False
    reader: Reader = Reader.MODULE
    facts: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    def examined(self, **how: Any) -> Diagnosis:
        """Examine it; ``how`` are the other arguments of :func:`skipwise.diagnosis.examine`."""
        found = examine(
            self.model,
            self.batches,
            updated_on=self.updated_on,
            loss=self.loss,
            optimiser=self.optimiser,
            history=self.history,
            validation=self.validation,
            start=self.start,
            full_batch=self.full_batch,
            reader=self.reader,
            **how,
        )
        return replace(found, facts={**found.facts, "of": self.name, **self.facts})


def mean_loss(task: Task) -> Any:
    """Give a task's loss as the mean over a batch: ``(output, targets) → one number``."""

    def loss(output: Tensor, targets: Tensor) -> Tensor:
        index = torch.arange(len(targets))
        total, count = task.loss(output, Batch(inputs=output, targets=targets, index=index))
        return total / count

    return loss


@contextmanager
def patient_of(
    run: Run, task: Task, dataset: Dataset, experiment: Experiment, **others: Any
) -> Iterator[Patient]:
    """Hold a run at some step as a patient.

    Measurements see training examples as they are, always the same ones, so that two diagnoses of
    one run can be compared; updates are rehearsed on the batches that would come next.

    Args:
        run: With the weights that are examined.
        task: What is learned.
        dataset: Its data.
        experiment: What the run is of.
        **others: ``name``, ``history``, ``start`` and further ``facts``.
    """
    run.begin_training()  # frozen parts are in evaluation mode then
    plain = _plain(run, run.batches.examples, seed=run.seed, size=run.batches.size)
    count = math.ceil(EXAMPLES / run.batches.size)
    with closing(plain), closing(run.batches):
        steps = range(run.step, run.step + count)
        progress = min(run.step / max(run.steps, 1), 1.0)
        next_ones = (run.batches.at(step, progress=progress) for step in steps)
        yield Patient(
            model=run.model,
            batches=[_pair(plain.at(step)) for step in range(_whole(plain, count))],
            updated_on=[_pair(batch) for batch in next_ones],
            loss=mean_loss(task),
            optimiser=run.optimiser,
            validation=_held_out(run, dataset.validation),
            full_batch=run.batches.size == len(run.batches.examples),
            reader=Reader.OWN if isinstance(experiment.network, Call) else Reader.RUN,
            facts=_facts(run, dataset, experiment) | dict(others.pop("facts", {})),
            **others,
        )


def _plain(run: Run, examples: Examples, *, seed: int, size: int) -> Batches:
    """Give batches of some examples without augmentation."""
    return Batches(
        examples, run.batches.preprocessing, size=size, seed=seed, device=run.batches.device
    )


def _whole(batches: Batches, count: int) -> int:
    """Give how many of so many batches there are before an example comes again."""
    return max(min(count, len(batches.examples) // batches.size), 1)


def _held_out(run: Run, examples: Examples | None) -> list[Pair] | None:
    if examples is None or not len(examples):
        return None
    with closing(_plain(run, examples, seed=0, size=256)) as batches:
        count = _whole(batches, EXAMPLES // 256)
        return [_pair(batches.at(step)) for step in range(count)]


def _pair(batch: Batch) -> Pair:
    return batch.inputs, batch.targets


def _facts(run: Run, dataset: Dataset, experiment: Experiment) -> dict[str, Any]:
    return {
        "network": experiment.network.name,
        "data": dataset.name,
        "task": dataset.task,
        "classes": len(dataset.classes),
        "strategy": experiment.strategy.name,
        "seed": experiment.seed,
        "batch": run.batches.size,
        "step": run.step,
        "steps": run.steps,
        "rate": largest_rate(run.optimiser.param_groups),
        "peak rate": run.strategy.peak_lr,
        "device": run.batches.device.type,
    }
