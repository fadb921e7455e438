"""A run's numbers for TensorBoard, as they come: what ``on_event`` of ``skipwise.train`` takes."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from skipwise.files import check_folder
from skipwise.records import EvaluationRecord, NoteRecord, StepRecord, throughput
from skipwise.training import Step

Told: TypeAlias = Step | StepRecord | EvaluationRecord | NoteRecord


def tensorboard(folder: str | Path) -> Callable[[Told], None]:
    """Give a function of a run's events that writes them for TensorBoard.

    ``skipwise.train("digits", on_event=skipwise.tensorboard("runs/tb"))``, and ``resume`` likewise:
    the steps that a resumed run takes once more replace those that stand there.

    Args:
        folder: Where its files lie, one a session, made with the first event.

    Raises:
        TypeError: If the folder is no path.
        ValueError: If TensorBoard is not installed, or the folder cannot be written.
    """
    if not isinstance(folder, str | Path):
        raise TypeError(f"a folder is given by its path; got {type(folder).__name__}")
    check_folder(Path(folder), "log for TensorBoard")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        line = '.venv/bin/pip install -e ".[tracking]"'
        raise ValueError(f"TensorBoard is not installed; {line}") from None
    opened: list[SummaryWriter] = []

    def write(event: Told) -> None:
        if not opened:
            opened.append(SummaryWriter(str(folder), purge_step=_first_anew(event)))
        writer = opened[0]
        if isinstance(event, Step):
            return  # its numbers are still on the device; they come as a record
        if isinstance(event, NoteRecord):
            writer.add_text("notes", event.text, event.step)
        else:
            for name, value in scalars(event):
                writer.add_scalar(name, value, event.step)
        writer.flush()

    return write


def _first_anew(event: Told) -> int | None:
    """Give the step from which on a session replaces what was written; None if it takes none."""
    if isinstance(event, EvaluationRecord):
        return None
    return event.step + isinstance(event, NoteRecord)


def scalars(event: StepRecord | EvaluationRecord) -> Iterator[tuple[str, float]]:
    """Yield what is drawn of a step or an evaluation by name; what was not measured is left out."""
    if isinstance(event, EvaluationRecord):
        yield from ((f"{event.part}/{name}", value) for name, value in event.metrics.items())
        return
    yield "train/loss", event.loss
    if math.isfinite(event.accuracy):
        yield "train/accuracy", event.accuracy
    yield "train/rate", event.rate
    yield "train/gradient_norm", event.gradient_norm
    yield "train/examples_per_second", throughput([event])
