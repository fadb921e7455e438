"""What a person sees while a run goes: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from skipwise.records import EvaluationRecord, NoteRecord, StepRecord
from skipwise.session import Event, Session
from skipwise.training import Step

LINE_SECONDS = 10.0


def watch(session: Session, *, quiet: bool = False) -> None:
    """Run a session to its end, telling how it goes on standard error."""
    silent = quiet or not session.world.is_first
    for _ in session.events() if silent else telling(session):
        pass


def telling(session: Session) -> Iterator[Event]:
    """Yield a session's events, each after it was told."""
    console = Console(stderr=True)
    return _with_bar(session, console) if console.is_terminal else _with_lines(session)


def _with_bar(session: Session, console: Console) -> Iterator[Event]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps, left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        bar = progress.add_task("epoch 0", total=session.run.steps, completed=session.run.step)
        for event in session.events():
            if isinstance(event, Step):
                progress.update(bar, completed=event.step, total=session.run.steps)
            elif isinstance(event, StepRecord):
                progress.update(bar, description=f"epoch {event.epoch:.2f} loss {event.loss:.3f}")
            else:
                progress.console.print(in_words(event), highlight=False, markup=False)
            yield event


def _with_lines(session: Session) -> Iterator[Event]:
    spoke = began = time.perf_counter()
    first = session.run.step
    for event in session.events():
        if isinstance(event, EvaluationRecord | NoteRecord):
            print(in_words(event), file=sys.stderr, flush=True)
        elif isinstance(event, StepRecord) and time.perf_counter() - spoke > LINE_SECONDS:
            spoke = time.perf_counter()
            left = (spoke - began) / (event.step - first) * (session.run.steps - event.step)
            print(
                f"step {event.step}/{session.run.steps} epoch {event.epoch:.2f}"
                f" loss {event.loss:.4f} rate {event.rate:.4g}, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
        yield event


def in_words(event: EvaluationRecord | NoteRecord) -> str:
    """Write an evaluation or a note as one line."""
    if isinstance(event, NoteRecord):
        return f"step {event.step}: {event.text}"
    values = ", ".join(f"{name} {value:.4f}" for name, value in event.metrics.items())
    where = f"step {event.step} " if event.step else ""
    return f"{where}{event.part}: {values} ({event.examples} examples)"
