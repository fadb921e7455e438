"""A Ray cluster as a launcher: every run is a task of Ray's, with its share of processors.

Where a node sees the folder of the study, it trains there, and a run that is repeated goes on from
its last save. Where it does not, it trains in a folder of its own and sends that back at the end.
What a node or a process takes along when it goes is done again. Where the cluster itself goes, or
nothing is left that could run a task, the study ends with a sentence; Ray would wait for ever.

Needs the extra ``ray``.
"""

import os
import socket
import tempfile
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import torch

from skipwise.files import write_atomic
from skipwise.studies.launchers.launcher import (
    FAILED,
    MARK,
    STOPPED,
    Launcher,
    News,
    Outcome,
    Task,
    repeated,
)
from skipwise.studies.launchers.nodes import (
    KEPT,
    REACH_SECONDS,
    Head,
    host_and_port,
    in_line,
    share,
)
from skipwise.training import DEVICE

LOCAL = "local"
TICK_SECONDS = 0.25
NODE_LOST, PROCESS_LOST = "its node went away", "its process ended"
LOST = {NODE_LOST: 10, PROCESS_LOST: 2}  # attempts; that a node goes is not the run's fault
Files = dict[str, bytes]


@final
@dataclass(kw_only=True)
class Cluster(Launcher):
    """Tasks on a Ray cluster.

    Args:
        address: Of the cluster, ``host:port`` or ``ray://host:port``; ``"local"`` starts one here.
        threads: Processors of a task.

    Raises:
        ValueError: If it is no address, Ray is not installed, or a device is named, which a cluster
            does not hear of.
    """

    address: str
    threads: int = 1
    jobs: int = field(default=1, init=False)
    is_here: bool = field(default=False, init=False)
    is_connected: bool = field(default=False, init=False)  # by this, and not by whoever calls

    def __post_init__(self):
        self.is_here = self.address == LOCAL
        if not self.is_here:
            host_and_port(self.address)
            if os.environ.get(DEVICE):
                raise ValueError(
                    f"{DEVICE} does not reach the nodes of a Ray cluster; set it where they are"
                    " started, and not here"
                )
        elif ":" in os.environ.get(DEVICE, ""):
            raise ValueError(
                f"Ray chooses the GPU of each run; name none with a number in {DEVICE}"
            )
        _ray()

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        where = "a local Ray cluster" if self.address == LOCAL else f"Ray at {self.address}"
        return f"{where}, {self.threads} thread{'s' * (self.threads != 1)} a run"

    def close(self) -> None:
        """Leave the cluster, and end one that was started here."""
        if self.is_connected:
            _ray().shutdown()
            self.is_connected = False

    def launch(self, tasks: Sequence[Task], signals: Sequence[int]) -> Iterator[News]:
        """Do all tasks; see :class:`Launcher`.

        Raises:
            ValueError: If no node can, or the cluster goes.
        """
        ray = _ray()
        if not tasks:
            return  # it need not be there any more
        if not ray.is_initialized():
            self._connect(ray)
            self.is_connected = True
        try:
            wanted, self.jobs = share(ray.nodes(), self.threads)
            place = ray.get_runtime_context().gcs_address if self.is_here else self.address
            head = Head(ray, host_and_port(place), self.threads)
            yield from _Tasks(ray, wanted, head).work(tasks, signals)
        except ray.exceptions.RayError as error:
            raise ValueError(f"Ray failed: {in_line(error)}; {KEPT}") from None

    def _connect(self, ray: Any) -> None:
        """Connect to the cluster, or start one.

        Raises:
            ValueError: If none answers.
        """
        quietly = {"logging_level": "ERROR", "log_to_driver": False}
        if self.address == LOCAL:
            ray.init(address=LOCAL, include_dashboard=False, **quietly)
            return
        try:
            # Ray itself tries for minutes.
            socket.create_connection(host_and_port(self.address), timeout=REACH_SECONDS).close()
            ray.init(address=self.address, **quietly)
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"no Ray cluster answers at {self.address} ({in_line(error, first=True)}); start"
                " one with ray start --head, or take --ray local"
            ) from None


def _ray() -> Any:
    """Import Ray.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise ValueError('Ray is not installed; .venv/bin/pip install -e ".[ray]"') from None
    return ray


@final
class _Tasks:
    """The tasks that Ray was given, and how often each was tried."""

    def __init__(self, ray: Any, wanted: Mapping[str, int], head: Head):
        self.ray, self.head = ray, head
        # Ray's own repetition would not be seen here; nor would it know what to count as failed.
        self.remote = ray.remote(**wanted, max_retries=0)(carry_out_there)
        self.threads = wanted["num_cpus"]
        # It takes no processor of the runs', and stays beside the study, whichever node goes away.
        here = ray.get_runtime_context().get_node_id()
        beside = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=True)
        kept = ray.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=beside)
        self.board = kept(Board).remote()
        self.running: dict[Any, Task] = {}
        self.numbers: dict[int, Any] = {}
        self.asked: Any = None
        self.attempts: Counter[tuple[Task, str]] = Counter()

    def work(self, tasks: Sequence[Task], signals: Sequence[int]) -> Iterator[News]:
        waiting, cancelled = deque(tasks), False
        while waiting or self.running:
            if signals and not cancelled:
                cancelled = True
                waiting.clear()
                for reference in self.running:
                    self.ray.cancel(reference, force=False)
            while waiting:
                task = waiting.popleft()
                number = len(self.numbers)
                reference = self.remote.remote(task, self.threads, self.board, number)
                self.running[reference], self.numbers[number] = task, reference
            if not self.running:
                return
            done, _ = self.ray.wait(list(self.running), timeout=TICK_SECONDS)
            for reference in done:
                task = self.running.pop(reference)
                outcome = self._outcome(reference, task, stopping=bool(signals))
                if not self._again(task, outcome):
                    yield News(task=task, outcome=outcome)
                else:
                    waiting.append(task)
                    yield News(task=task, outcome=repeated(outcome))
            yield from self._told()
            self.head.check()
            if not done:
                yield News()

    def _told(self) -> Iterator[News]:
        """Give what the runs have told of their progress since it was last asked for."""
        if self.asked is None:
            self.asked = self.board.take.remote()
        if not self.ray.wait([self.asked], timeout=0)[0]:
            return  # it is starting, or its node went away; no run waits for it
        try:
            told = self.ray.get(self.asked)
        except self.ray.exceptions.RayError:
            told = {}
        self.asked = None
        for number, said in told.items():
            reference = self.numbers[number]
            if reference in self.running:  # what comes after the end of a run is no news
                yield News(task=self.running[reference], **said)

    def _again(self, task: Task, outcome: Outcome) -> bool:
        """Whether a task that was lost is done once more."""
        what = outcome.words.partition(" (")[0]
        self.attempts[task, what] += 1
        return outcome.state == FAILED and self.attempts[task, what] < LOST.get(what, 0)

    def _outcome(self, reference: Any, task: Task, *, stopping: bool) -> Outcome:
        errors = self.ray.exceptions
        try:
            outcome, files = self.ray.get(reference)
        except errors.TaskCancelledError:
            return Outcome(state=STOPPED, words="it was stopped")
        except (errors.NodeDiedError, errors.ObjectLostError) as error:
            return _lost(NODE_LOST, error, stopping=stopping)
        except (errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
            return _lost(PROCESS_LOST, error, stopping=stopping)
        except errors.RayTaskError as error:  # a run's own errors are outcomes
            return Outcome(
                state=STOPPED if stopping else FAILED,
                words=f"a node could not begin a run: {in_line(error)}; each node needs the same"
                " Python packages",
                is_final=not stopping,
            )
        for name, content in files.items():
            path = Path(task.folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content)
        return outcome


def _lost(what: str, error: Exception, *, stopping: bool) -> Outcome:
    kind = type(error).__name__
    return Outcome(state=STOPPED if stopping else FAILED, words=f"{what} ({kind})")


class Board:
    """Where runs on any node leave how far they have come; the latest of each counts."""

    def __init__(self):
        self.told: dict[int, dict[str, Any]] = {}

    def tell(self, number: int, told: dict[str, Any]) -> None:
        """Take what a run tells."""
        self.told[number] = told

    def take(self) -> dict[int, dict[str, Any]]:
        """Give what was told since the last time."""
        told, self.told = self.told, {}
        return told


def carry_out_there(
    task: Task, threads: int, board: Any = None, number: int = 0
) -> tuple[Outcome, Files]:
    """Do one task on a node, in the study's folder or in one of the node's own.

    Args:
        task: The task.
        threads: That it computes with.
        board: The actor that hears of progress; nobody does if None.
        number: Of the attempt, on the board.

    Returns:
        How it ended, and the files of the run where the node does not see the study's folder.
    """
    from skipwise.studies.working import carry_out

    def tell(**told: Any) -> None:
        if board is not None:
            board.tell.remote(number, told)  # nobody waits for it

    tell(step=0, steps=0)  # it no longer waits for a node
    torch.set_num_threads(threads)
    if task.is_rehearsal or Path(task.folder).parent.parent.is_dir():
        return carry_out(task, tell=tell), {}
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above) / Path(task.folder).name
        outcome = carry_out(replace(task, folder=str(folder)), tell=tell)
        outcome = replace(outcome, is_final=False)  # another node may have room
        paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
        files = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
        # Marks come last, when all else is there.
        return outcome, dict(sorted(files.items(), key=lambda file: file[0].startswith(MARK)))
