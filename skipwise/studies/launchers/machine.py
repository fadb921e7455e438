"""This machine as a launcher: worker processes, each with its share of the threads.

A worker does one task after another, so that Python, torch and the data are loaded once. One that
dies is replaced; its task is done once more, from its last save, and then counts as failed.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, final

import torch

from skipwise.studies.launchers.launcher import (
    FAILED,
    STOPPED,
    Launcher,
    News,
    Outcome,
    Task,
    repeated,
)
from skipwise.training import DEVICE, choose_device

PACKAGE = Path(__file__).parents[2]
TICK_SECONDS = 0.25
ATTEMPTS = 2


@dataclass(kw_only=True)
class Machine(Launcher):
    """Worker processes on this machine.

    Args:
        jobs: How many.
        threads: That each computes with.
        idle: Workers that wait for the next launch, so that each starts once.
    """

    jobs: int = 1
    is_here: bool = field(default=True, init=False)
    threads: int = 1
    idle: "list[_Worker]" = field(default_factory=list, repr=False)

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        jobs = "1 job" if self.jobs == 1 else f"{self.jobs} jobs"
        return f"{jobs} on this machine, {self.threads} thread{'s' * (self.threads != 1)} each"

    def launch(self, tasks: Sequence[Task], signals: Sequence[int]) -> Iterator[News]:
        """Do all tasks; see :class:`Launcher`."""
        crew = _Crew(self)
        try:
            yield from crew.work(tasks, signals)
        finally:
            crew.dismiss()

    def close(self) -> None:
        """End the workers."""
        while self.idle:
            self.idle.pop().close()


def visible_gpus() -> list[str]:
    """Name the GPUs that workers may take, as CUDA_VISIBLE_DEVICES does."""
    device = choose_device()
    if device.type != "cuda":
        return []
    count, visible = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    named = visible.split(",")[:count] if visible else [str(number) for number in range(count)]
    return named if device.index is None else [named[device.index]]


@final
class _Crew:
    """The workers of one launch, and what each of them is at."""

    def __init__(self, machine: Machine):
        self.machine = machine
        self.news: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        self.at_work: dict[_Worker, Task] = {}
        self.idle = machine.idle
        for worker in [worker for worker in self.idle if worker.process.poll() is not None]:
            self.idle.remove(worker)
            worker.close()
        for worker in self.idle:
            worker.news = self.news
        self.attempts: Counter[Task] = Counter()

    def work(self, tasks: Sequence[Task], signals: Sequence[int]) -> Iterator[News]:
        waiting, told_to_stop = deque(tasks), False
        while waiting or self.at_work:
            if signals and not told_to_stop:
                told_to_stop = True
                waiting.clear()
                for worker in self.at_work:
                    worker.stop()
            while waiting and len(self.at_work) < self.machine.jobs:
                task = waiting.popleft()
                worker = self.idle.pop() if self.idle else self._hired()
                self.at_work[worker] = task
                worker.give(task)
                yield News(task=task)
            yield from self._next(waiting, told_to_stop)

    def _hired(self) -> "_Worker":
        """Start a worker, on the GPU that the fewest hold."""
        held = Counter(worker.gpu for worker in self.at_work)
        gpu = min(visible_gpus(), key=lambda name: held[name], default="")
        return _Worker(self.machine, self.news, gpu)

    def _next(self, waiting: deque[Task], stopping: bool) -> Iterator[News]:
        try:
            worker, said = self.news.get(timeout=TICK_SECONDS)
        except queue.Empty:
            yield News()
            return
        if worker not in self.at_work:
            with suppress(ValueError):  # an idle worker is gone
                self.idle.remove(worker)
        elif said is not None and "outcome" not in said:
            yield News(task=self.at_work[worker], **said)
        else:
            task = self.at_work.pop(worker)
            outcome = worker.epitaph() if said is None else Outcome(**said["outcome"])
            if stopping and said is None:
                outcome = Outcome(state=STOPPED, words=outcome.words)
            is_alive = said is not None and outcome.state != STOPPED
            self._put_away(worker, reusable=is_alive and not _is_of_memory(outcome))
            self.attempts[task] += 1
            # A rehearsal that filled the memory would do so again.
            again = not (stopping or task.is_rehearsal) and (said is None or _is_of_memory(outcome))
            if again and outcome.state == FAILED and self.attempts[task] < ATTEMPTS:
                waiting.appendleft(task)
                outcome = repeated(outcome)
            yield News(task=task, outcome=outcome)

    def _put_away(self, worker: "_Worker", *, reusable: bool) -> None:
        if reusable:
            self.idle.append(worker)
        else:
            worker.close()

    def dismiss(self) -> None:
        """Let every worker that is at work save what it has and end."""
        for worker in self.at_work:
            worker.close()


def _is_of_memory(outcome: Outcome) -> bool:
    return outcome.state == FAILED and "memory" in outcome.words.lower()


@final
class _Worker:
    """One process, and the thread that hears it."""

    def __init__(self, machine: Machine, news: "queue.Queue[Any]", gpu: str):
        self.news, self.gpu = news, gpu
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(machine.threads),
            "PYTHONPATH": os.pathsep.join(filter(_is_safe, sys.path)),
        }
        if gpu:
            environment |= {"CUDA_VISIBLE_DEVICES": gpu, DEVICE: "cuda"}  # it sees no other
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
            environment.pop(name, None)
        self.errors = TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "skipwise.studies.working"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,  # what is printed in a run goes into its folder
            env=environment,
            start_new_session=True,  # a Ctrl-C reaches the study, which tells its workers
            text=True,
            encoding="utf-8",
        )
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.news.put((self, json.loads(line)))
        self.news.put((self, None))

    def give(self, task: Task) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # its end is heard as news
            self.process.stdin.write(json.dumps(asdict(task)) + "\n")
            self.process.stdin.flush()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def epitaph(self) -> Outcome:
        """Say how a worker that is gone ended."""
        code = self.process.wait()
        if code >= 0:
            return Outcome(
                state=FAILED, words=f"its process ended with exit code {code}{self._last_words()}"
            )
        name = signal.Signals(-code).name
        why = ", as the system does where memory runs out" if -code == signal.SIGKILL else ""
        return Outcome(state=FAILED, words=f"its process was killed by {name}{why}")

    def _last_words(self) -> str:
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        return f": {lines[-1]}" if lines else ""

    def close(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.errors.close()


def _is_safe(path: str) -> bool:
    """Leave out the user's folder, where a ``random.py`` would stand before Python's own.

    The worker adds it when it has imported what it needs.
    """
    return bool(path) and (path != os.getcwd() or Path(path) == PACKAGE.parent)
