"""The journal of a run: steps and evaluations, each once, whatever happens.

Losses are read from the device every few steps, never in one. A checkpoint remembers how long the
journal was; a resumed run cuts it back to there before it goes on.
"""

import math
import os
from collections.abc import Callable
from pathlib import Path

import torch

from skipwise.files import METRICS_TABLE, write_atomic
from skipwise.records import (
    EvaluationRecord,
    Event,
    MeasureRecord,
    NoteRecord,
    StepRecord,
    VerdictRecord,
    read_journal,
    steps_as_csv,
    to_line,
)
from skipwise.training.loop import Step
from skipwise.training.run import Diverged

READ_EVERY = 20


class Journal:
    """An open ``metrics.jsonl``.

    Args:
        path: The file; None writes nothing, as in every process but the first.
        size: Its length in bytes at the checkpoint that the run goes on from; 0 for a new run.
        epoch: (step) → epoch, as a fraction.

    Raises:
        ValueError: If the file is shorter than the checkpoint says.
    """

    def __init__(self, path: Path | None, *, size: int, epoch: Callable[[int], float]):
        self._path = path
        if path is not None:
            _cut_back(path, size)
        self._file = (path or Path(os.devnull)).open("a", buffering=1, encoding="utf-8")
        self._epoch = epoch
        self._waiting: list[Step] = []

    @property
    def size(self) -> int:
        """Length in bytes of what was written."""
        return self._file.tell()

    def step(self, step: Step) -> list[StepRecord]:
        """Take a step; every few steps give those that were read from the device since.

        Raises:
            Diverged: If one of their losses is not finite.
        """
        self._waiting.append(step)
        return self.read() if len(self._waiting) >= READ_EVERY else []

    def read(self) -> list[StepRecord]:
        """Read the waiting steps from the device and write them.

        Raises:
            Diverged: If the loss of one that was not skipped is not finite; the steps up to it are
                written.
        """
        waiting, self._waiting = self._waiting, []
        records = []
        for step, (loss, norm, accuracy, clipped) in zip(waiting, _numbers(waiting), strict=True):
            record = StepRecord(
                step=step.step,
                epoch=round(self._epoch(step.step), 4),
                loss=loss,
                rate=step.rate,
                gradient_norm=norm,
                examples=step.examples,
                seconds=round(step.seconds, 6),
                data_seconds=round(step.data_seconds, 6),
                gradient_seconds=round(step.gradient_seconds, 6),
                optimiser_seconds=round(step.optimiser_seconds, 6),
                accuracy=accuracy,
                gradients=step.gradients,
                clipped=bool(clipped),
                skipped=step.skipped,
            )
            records.append(record)
            self._file.write(to_line(record))
            if not math.isfinite(record.loss) and not record.skipped:
                self.flush()
                raise Diverged(record.step, record.loss)
        return records

    def write(self, event: EvaluationRecord | NoteRecord | MeasureRecord | VerdictRecord) -> None:
        """Write an event that is not a step."""
        self._file.write(to_line(event))

    def flush(self) -> None:
        """Bring what was written to the disk."""
        self._file.flush()
        if self._path is not None:
            os.fsync(self._file.fileno())

    def write_table(self) -> list[Event]:
        """Write steps and evaluations as a table beside the journal, and give all events."""
        self.flush()
        if self._path is None:
            return []
        events = list(read_journal(self._path))
        write_atomic(self._path.with_name(METRICS_TABLE), steps_as_csv(events).encode())
        return events

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _numbers(steps: list[Step]) -> list[list[float]]:
    """Give loss, norm, accuracy (NaN: none) and whether it was clipped of each, by one copy."""
    if not steps:
        return []
    device = steps[0].loss.device
    none, unclipped = torch.full((), math.nan, device=device), torch.zeros((), device=device)
    rows = []
    for step in steps:
        accuracy = none if step.accuracy is None else step.accuracy
        clipped = unclipped if step.clipped is None else step.clipped
        rows += [step.loss, step.gradient_norm, accuracy, clipped]
    numbers = torch.stack([row.detach().to(device, torch.float64) for row in rows])
    return numbers.view(-1, 4).tolist()


def _cut_back(path: Path, size: int) -> None:
    path.touch()
    if path.stat().st_size < size:
        raise ValueError(
            f"{path} is shorter than at the last save; it was changed, so the run cannot go on"
            " from it; give back a copy, or train experiment.yaml in another folder"
        )
    os.truncate(path, size)
