"""The contract of launchers: tasks in, news out; and what a run of a study leaves as its mark.

A task is plain, so that it can go to another process or another machine. Its end is written into
the run's folder as ``outcome.json`` by whoever trained it; a task with a mark is never done again.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from skipwise.files import write_atomic
from skipwise.records import finite

OUTCOME, MARK = "outcome.json", "outcome"
FINISHED, DIVERGED, FAILED, STOPPED = "finished", "diverged", "failed", "stopped"
REPEATED = "repeated"  # not an end: the task waits again


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run, or the rehearsal of one: it is built and takes a gradient, and nothing is kept.

    Args:
        arm: Its name.
        seed: Of the run.
        experiment: The whole description, as YAML.
        folder: Where the run lies.
        digest: Of the data as they were when the study was planned.
        allow: Packages that the description may name.
        is_trial: Whether it tunes, so that the test part stays unseen.
        reports: Whether ``report.html`` is written.
        is_rehearsal: Whether it is one.
        until: The share of its length at which a trial pauses, to be gone on with or not.
    """

    arm: str
    seed: int
    experiment: str
    folder: str
    digest: str
    allow: tuple[str, ...] = ()
    is_trial: bool = False
    reports: bool = True
    is_rehearsal: bool = False
    until: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a task ended.

    Args:
        state: finished, diverged, failed, stopped or repeated.
        words: Of what did not finish: why, as one sentence.
        score: On the test part, or on validation where there is none; of a trial on validation.
        steps: Updates that were taken.
        seconds: Time that they took, evaluations and saves included.
        memory_bytes: Of a rehearsal: the most that the process needed, without that of a GPU.
        macs: Of a rehearsal: multiply-adds of one forward pass of one example, 0 if unknown.
        step_seconds: Of a rehearsal: time of one gradient.
        planned_steps: Of a rehearsal: length of the run.
        is_final: Whether no other task can do better, because the disk is full for example.
    """

    state: str
    words: str = ""
    score: float | None = None
    steps: int = 0
    seconds: float = 0.0
    memory_bytes: int = 0
    macs: int = 0
    step_seconds: float = 0.0
    planned_steps: int = 0
    is_final: bool = False

    @property
    def is_result(self) -> bool:
        """Whether it says something of the arm, so that it is not done again."""
        return self.state in (FINISHED, DIVERGED)


@dataclass(frozen=True, kw_only=True)
class News:
    """What a launcher tells of one task: it began, took steps, or ended; of none: time passed."""

    task: Task | None = None
    step: int = 0
    steps: int = 0
    score: float | None = None
    outcome: Outcome | None = None


class Launcher(ABC):
    """A way to get tasks done.

    Attributes:
        jobs: How many it does at the same time, as far as that is known.
        is_here: Whether they are processes of their own on this machine and share its memory.
    """

    jobs: int = 1
    is_here: bool = False

    @property
    @abstractmethod
    def words(self) -> str:
        """What it is, for a reader."""

    @abstractmethod
    def launch(self, tasks: Sequence[Task], signals: Sequence[int]) -> Iterator[News]:
        """Do all tasks, telling how they go on.

        Whenever ``signals`` is no longer empty, running tasks are saved and stopped, and no other
        is begun.

        Args:
            tasks: In the order in which they should begin.
            signals: The signals that came.

        Raises:
            ValueError: If there is no way to do them.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what is kept from one launch to the next."""


def mark_name(until: float) -> str:
    """Name the mark of a run at its end, or where it pauses.

    >>> mark_name(1.0), mark_name(0.5)
    ('outcome.json', 'outcome-at-0.500000.json')
    """
    return OUTCOME if until == 1 else f"outcome-at-{until:.6f}.json"


def mark_of(folder: Path, until: float = 1.0) -> Outcome | None:
    """Read how a run ended, or paused; None while it has not, or if the mark cannot be read.

    A run that ended before its pause has ended for every later one; the mark of the pause comes
    first, so that a run that went on says the same of its pause as before.
    """
    for name in dict.fromkeys((mark_name(until), OUTCOME)):
        try:
            return Outcome(**json.loads((folder / name).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
    return None


def leave_mark(folder: Path, outcome: Outcome, until: float = 1.0) -> None:
    """Write how a run ended, or what it was where it paused."""
    text = json.dumps(finite(asdict(outcome)), ensure_ascii=False)
    write_atomic(folder / mark_name(until), text.encode())


def repeated(outcome: Outcome) -> Outcome:
    """Give what is told of a task that is done once more."""
    return replace(outcome, state=REPEATED)
