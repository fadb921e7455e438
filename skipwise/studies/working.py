"""What a worker does: one run after another, each in its folder, from wherever it had got to.

``python -m skipwise.studies.working`` reads tasks from its input, one JSON object a line, and
writes what happens to its output. When the input ends, its study is gone: it saves and ends.
"""

import json
import math
import os
import queue
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

import torch

from skipwise.data import Data, Dataset
from skipwise.description import from_plain, line_in_own_code, read_yaml, to_plain
from skipwise.experiment import Experiment
from skipwise.files import Hold, is_of_the_disk
from skipwise.records import EvaluationRecord, StepRecord, finite
from skipwise.runs import record_of, reported
from skipwise.session import Session
from skipwise.studies.launchers.launcher import (
    DIVERGED,
    FAILED,
    FINISHED,
    STOPPED,
    Outcome,
    Task,
    leave_mark,
    mark_of,
)
from skipwise.studies.rehearsal import rehearse
from skipwise.training import Diverged, Interrupted, newest_checkpoint

OUTPUT = "output.txt"
LOCK_SECONDS = 120.0  # the worker of a study that was killed may still be saving
TELL_SECONDS = 0.5
Tell = Callable[..., None]


def carry_out(task: Task, data: Data | None = None, tell: Tell | None = None) -> Outcome:
    """Do one task; whatever goes wrong becomes an outcome.

    Args:
        task: What is to be done.
        data: The data, if they were made in Python.
        tell: Called with ``step``, ``steps`` and ``score`` while it goes.
    """
    try:
        experiment = _experiment(task, data)
        dataset = _loaded(experiment.data)
        _check_data(dataset, task)
        if task.is_rehearsal:
            return rehearse(experiment, dataset)
        with closing(Hold(Path(task.folder), seconds=LOCK_SECONDS)):
            return mark_of(Path(task.folder), task.until) or _run(task, experiment, dataset, tell)
    except Interrupted as error:
        return Outcome(state=STOPPED, words=str(error))
    except Exception as error:  # a user's network may raise anything, and the study goes on
        study = Path(task.folder).absolute().parent.parent
        if isinstance(error, OSError) and is_of_the_disk(error, study):
            where = f"{error.strerror}: {error.filename or task.folder}"
            return Outcome(state=FAILED, words=where, is_final=True)
        return Outcome(state=FAILED, words=_sentence(error))


def _check_data(dataset: Dataset, task: Task) -> None:
    if dataset.digest != task.digest:
        raise ValueError("the data changed since the study was planned")


def _sentence(error: Exception) -> str:
    if isinstance(error, MemoryError) or re.search("out of memory|t allocate memory", str(error)):
        return "there is not enough memory; set a smaller --batch-size, or --set parts=2 or more"
    words = f"{' '.join(str(error).split()) or 'no more is known'}{line_in_own_code(error)}"
    is_ours = isinstance(error, ValueError | TypeError)
    return words if is_ours else f"{type(error).__name__}: {words}"


def _experiment(task: Task, data: Data | None) -> Experiment:
    plain = read_yaml(task.experiment, "the task")
    found = from_plain(plain, allow=task.allow, where=f"the run of {task.arm}")
    assert isinstance(found, Experiment)
    return found if data is None else replace(found, data=data)


_held: list[tuple[Any, Data, Dataset]] = []  # the data of this process, loaded once


def _loaded(data: Data) -> Dataset:
    try:
        name = to_plain(data)
    except TypeError:  # made in Python; it is held, so no other has its number
        name = id(data)
    if not _held or _held[0][0] != name:
        _held[:] = [(name, data, data.load())]
    return _held[0][2]


def _run(task: Task, experiment: Experiment, dataset: Dataset, tell: Tell | None) -> Outcome:
    """Begin a run or go on with it, and leave the mark of its end."""
    folder = Path(task.folder)
    if task.is_trial:
        dataset = replace(dataset, test=None)
    try:
        state, _ = newest_checkpoint(folder)
    except ValueError:  # every save is damaged: the run begins again
        state = None
    session = Session(experiment, dataset, folder, state)
    session.pause.share = task.until
    try:
        with reported(folder, wanted=task.reports):
            for told in _progress(session):
                if tell is not None:
                    tell(**told)
        is_paused = session.pause.is_due(session.run)
        score = _finite(session.pause.score) if is_paused else _score(session)
        outcome = Outcome(state=FINISHED, score=score)
    except Diverged as error:
        is_paused = False
        outcome = Outcome(state=DIVERGED, words=str(error))
    outcome = replace(outcome, steps=session.run.step, seconds=round(session.elapsed, 3))
    leave_mark(folder, outcome, task.until if is_paused else 1.0)
    return outcome


def _progress(session: Session) -> Iterator[dict[str, Any]]:
    metric, spoke = session.best.metric, -TELL_SECONDS
    for event in session.events():
        told: dict[str, Any] = {"step": session.run.step, "steps": session.run.steps}
        if isinstance(event, EvaluationRecord):
            yield {**told, "score": event.metrics[metric]}
        elif isinstance(event, StepRecord) and time.perf_counter() - spoke > TELL_SECONDS:
            spoke = time.perf_counter()
            yield told


def _score(session: Session) -> float | None:
    record = record_of(session)
    found = record.test or record.validation
    return None if found is None else found.metrics[session.best.metric]


def _finite(score: float) -> float | None:
    return score if math.isfinite(score) else None


def main() -> None:
    """Do what comes in, tell what happens, until the input ends."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.path.insert(0, os.getcwd())  # package.module:function names what lies in the user's folder
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    tasks: queue.Queue[str] = queue.Queue()
    words = os.fdopen(os.dup(sys.stdin.fileno()), encoding="utf-8")
    # A process that decodes pictures closes sys.stdin when it is forked, and would wait for good
    # for the thread that reads from it.
    sys.stdin = open(os.devnull, encoding="utf-8")
    threading.Thread(target=_listen, args=(words, tasks), daemon=True).start()
    while True:
        task = _task(tasks.get())
        with _printing_into(Path(task.folder), wanted=not task.is_rehearsal):
            outcome = carry_out(task, tell=lambda **told: _say(out, told))
        _say(out, {"outcome": asdict(outcome)})
        if outcome.state == STOPPED:
            return


@contextmanager
def _printing_into(folder: Path, *, wanted: bool) -> Iterator[None]:
    """Let what a user's code prints go into a run's folder; it is no news."""
    if not wanted:
        yield
        return
    path = folder / OUTPUT
    with suppress(OSError):  # a full disk shows where the run is saved
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            for number in (sys.stdout.fileno(), sys.stderr.fileno()):
                os.dup2(file.fileno(), number)
    yield
    sys.stdout.flush()
    sys.stderr.flush()
    with suppress(OSError):
        if not path.stat().st_size:
            path.unlink()


def _listen(words: IO[str], tasks: queue.Queue[str]) -> None:
    for line in words:
        tasks.put(line)
    os.kill(os.getpid(), signal.SIGTERM)  # saves if a run goes on, else ends at once


def _task(line: str) -> Task:
    fields = json.loads(line)
    return Task(**{**fields, "allow": tuple(fields["allow"])})


def _say(out: IO[str], told: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):  # nobody listens any more; the input has ended as well
        out.write(json.dumps(finite(told)) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
