"""What a person sees while a run goes: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from skipwise.records import EvaluationRecord, NoteRecord, StepRecord, throughput
from skipwise.session import Event, Session
from skipwise.training import Step

LINE_SECONDS = 10.0
RECENT = 20  # steps that examples a second are told of
Listener: TypeAlias = Callable[[Event], object]


def watch(session: Session, *, quiet: bool = False, on_event: Listener | None = None) -> None:
    """Run a session to its end, telling how it goes on standard error.

    Args:
        session: The session.
        quiet: Tell nothing.
        on_event: See :func:`skipwise.train`.
    """
    silent = quiet or not session.world.is_first
    for _ in _heard(session, on_event) if silent else telling(session, on_event):
        pass


def check_listener(on_event: Any) -> None:
    """Refuse what cannot be called with events.

    Raises:
        TypeError: If it cannot.
    """
    if on_event is not None and not callable(on_event):
        raise TypeError(
            "on_event is a function, which is called with each event; got"
            f" {type(on_event).__name__}"
        )


def tell_refused(session: Session, refused: Iterable[str]) -> None:
    """Say on standard error which saves were passed over, and why."""
    for sentence in refused if session.world.is_first else ():
        print(f"skipwise: {sentence}; going on from the save before it", file=sys.stderr)


def telling(session: Session, on_event: Listener | None = None) -> Iterator[Event]:
    """Yield a session's events, each after it was told."""
    console, events = Console(stderr=True), _heard(session, on_event)
    if console.is_terminal:
        return _with_bar(session, events, console)
    return _with_lines(session, events)


def _heard(session: Session, on_event: Listener | None) -> Iterator[Event]:
    """Yield a session's events, each after the first process has called a function with it.

    Raises:
        BaseException: What the function raised, which ended the session as its own error would.
    """
    events = session.events()
    for event in events:
        if on_event is not None and session.world.is_first:
            try:
                on_event(event)
            except BaseException as error:
                events.throw(error)
                raise
        yield event


def _with_bar(session: Session, events: Iterator[Event], console: Console) -> Iterator[Event]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps, left"),
        TimeRemainingColumn(),
    )
    recent: deque[StepRecord] = deque(maxlen=RECENT)
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        bar = progress.add_task("epoch 0", total=session.run.steps, completed=session.run.step)
        for event in events:
            if isinstance(event, Step):
                progress.update(bar, completed=event.step, total=session.run.steps)
            elif isinstance(event, StepRecord):
                recent.append(event)
                words = f"epoch {event.epoch:.2f} loss {event.loss:.3f} {speed_of(recent)}"
                progress.update(bar, description=words)
            else:
                progress.console.print(in_words(event), highlight=False, markup=False)
            yield event


def _with_lines(session: Session, events: Iterator[Event]) -> Iterator[Event]:
    spoke = began = time.perf_counter()
    first = session.run.step
    recent: deque[StepRecord] = deque(maxlen=RECENT)
    for event in events:
        if isinstance(event, EvaluationRecord | NoteRecord):
            print(in_words(event), file=sys.stderr, flush=True)
        elif isinstance(event, StepRecord):
            recent.append(event)
            if time.perf_counter() - spoke > LINE_SECONDS:
                spoke = time.perf_counter()
                left = (spoke - began) / (event.step - first) * (session.run.steps - event.step)
                print(
                    f"step {event.step}/{session.run.steps} epoch {event.epoch:.2f}"
                    f" loss {event.loss:.4f} rate {event.rate:.4g}, {speed_of(recent)},"
                    f" {left:.0f} s left",
                    file=sys.stderr,
                    flush=True,
                )
        yield event


def speed_of(recent: Iterable[StepRecord]) -> str:
    """Write how many examples a second the last steps took, without what lay between them."""
    found = throughput(recent)
    return f"{found:,.0f} examples/s" if found >= 10 else f"{found:.2g} examples/s"


def in_words(event: EvaluationRecord | NoteRecord) -> str:
    """Write an evaluation or a note as one line."""
    if isinstance(event, NoteRecord):
        return f"step {event.step}: {event.text}"
    values = ", ".join(f"{name} {value:.4f}" for name, value in event.metrics.items())
    where = f"step {event.step} " if event.step else ""
    return f"{where}{event.part}: {values} ({event.examples} examples)"
