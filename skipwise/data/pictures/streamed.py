"""Pictures that do not fit into memory, decoded by worker processes as they are used."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from skipwise.data.dataset import Examples, Stored
from skipwise.data.order import share_of
from skipwise.data.pictures.picture import File, UnreadablePicture
from skipwise.randomness import generator
from skipwise.shapes import Index

SKIP_BAD = "add --skip-bad"
SAMPLE = 10_000
AHEAD = 4  # batches that each worker keeps ready
MOST = 16  # workers: each is a process that keeps batches in memory
STOPPING = (signal.SIGINT, signal.SIGTERM)
Read: TypeAlias = Callable[[File], Tensor]


@final
class Streamed(Stored):
    """Pictures on disk, with their targets in memory.

    Args:
        files: All files of a part, or of a larger set.
        targets: Of the examples.
        rows: Which files are the examples, in their order.
        shape: Of a picture, ``(channels, height, width)``.
        read: (file) → uint8 of that shape.
        names: Of all files; numbered if empty.
    """

    def __init__(
        self,
        files: Sequence[File],
        targets: Tensor,
        rows: Index,
        *,
        shape: tuple[int, ...],
        read: Read,
        names: tuple[str, ...] = (),
    ):
        super().__init__(shape, targets)
        self.files, self.rows, self.read, self.names = files, rows, read, names
        self.workers = _spare_cores()

    def gather(self, index: Index) -> tuple[Tensor, Tensor]:
        """Decode some pictures in this process.

        Raises:
            UnreadablePicture: If a file is broken.
        """
        pictures = [self.read(self.files[row]) for row in self.rows[index].tolist()]
        return torch.stack(pictures), self.targets[index]

    def called(self, index: Index) -> list[str]:
        """Name some pictures."""
        rows = self.rows[index].tolist()
        return [self.names[row] if self.names else str(row) for row in rows]

    def stream(self, batches: Iterable[Index]) -> Iterator[tuple[Tensor, Tensor]]:
        """Decode ahead of the use, in processes that end with the iterator.

        Raises:
            UnreadablePicture: If a file is broken.
        """
        loader = DataLoader(
            _Batches(self),
            batch_size=None,
            sampler=(index.tolist() for index in batches),
            num_workers=self.workers,
            prefetch_factor=AHEAD,
            collate_fn=_unchanged,
            worker_init_fn=_leave_the_group,
            generator=generator("workers"),  # else it would draw from the caller's numbers
        )
        with _signals_waiting():
            ahead = iter(loader)
        for rows, found in ahead:
            if isinstance(found, str):
                raise UnreadablePicture(f"{found}; mend or remove it and train anew, or {SKIP_BAD}")
            yield torch.from_numpy(found), self.targets[rows]

    def subset(self, rows: Index) -> "Streamed":
        """Give some of the examples."""
        own = self.targets[rows], self.rows[rows]
        return Streamed(self.files, *own, shape=self.shape, read=self.read, names=self.names)

    def sample(self, seed: int) -> tuple[Tensor, Index | None]:
        """Decode up to 10,000 pictures, chosen by the seed; all of them, in order, if no more.

        Raises:
            UnreadablePicture: If a file is broken.
        """
        order = torch.randperm(len(self), generator=generator(seed, "sample"))
        chosen = order[:SAMPLE].sort().values
        return torch.cat([pictures for pictures, _ in self.stream(chosen.split(64))]), None

    def identity(self) -> tuple[Tensor | np.ndarray, ...]:
        """Give names, sizes and targets: reading every pixel would cost an epoch."""
        names, sizes = [], []
        for row in self.rows.tolist():
            file = self.files[row]  # of a table one at a time: all together would fill the memory
            names.append(_name(file))
            sizes.append(file.stat().st_size if isinstance(file, Path) else len(file.content))
        joined = np.frombuffer("\n".join(names).encode(), np.uint8)
        return joined, np.asarray(sizes, np.int64), self.targets


def check_readable(parts: Iterable[Examples | None], rank: int = 0, ranks: int = 1) -> None:
    """Decode pictures that wait on the disk once, so that none of them ends the work later.

    Args:
        parts: Of a data set; those in memory are read already.
        rank: Which of the processes this is.
        ranks: How many share the pictures out.

    Raises:
        UnreadablePicture: If a file is broken.
    """
    for part in parts:
        if isinstance(part, Streamed):
            rows = torch.arange(len(part))[share_of(len(part), rank, ranks)]
            for _ in part.stream(rows.split(64) if len(rows) else ()):
                pass


class _Batches(Dataset[Any]):
    """Whole batches by their rows; a broken picture comes back as its sentence."""

    def __init__(self, examples: Streamed):
        self.examples = examples

    def __getitem__(self, rows: list[int]) -> tuple[list[int], np.ndarray | str]:
        try:
            # An array goes through a pipe; a tensor would need shared memory, scarce in containers.
            return rows, self.examples.gather(torch.tensor(rows))[0].numpy()
        except UnreadablePicture as error:
            return rows, str(error)


def _unchanged(batch: Any) -> Any:
    return batch


@contextmanager
def _signals_waiting() -> Iterator[None]:
    """Hold signals back while workers begin, so that none meets them before they left the group."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_the_group(worker: int) -> None:
    # A signal to the whole group must not take the workers away before the parent has saved.
    os.setsid()
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)  # forgets one that came meanwhile
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _name(file: File) -> str:
    return f"{file.parent.name}/{file.name}" if isinstance(file, Path) else file.name


def _spare_cores() -> int:
    """Count the cores but one; beside a GPU torch's threads, few under torchrun, say nothing."""
    cores = torch.get_num_threads()
    if torch.cuda.is_available():
        linux = sys.platform == "linux"  # elsewhere a process may always run on all cores
        here = len(os.sched_getaffinity(0)) if linux else os.cpu_count() or 1
        cores = max(cores, here // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    return min(max(cores - 1, 1), MOST)
