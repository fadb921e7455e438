"""Cores shared out between what decodes pictures and what trains on them.

Two that fill the same cores do not share them well: a parallel region waits for each of its
threads, so every slice of time that a decoding process takes stops all of them.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, final

import torch

from skipwise.data import Examples, batch_index
from skipwise.training.gradient import leaving_no_trace, trial_gradient
from skipwise.training.run import Run


def shared_out(cores: int, *, decoding: float, gradient: float) -> tuple[int, int]:
    """Give threads to train with and processes to decode with, so that both take equally long.

    Training takes g·n/T with T of n threads, decoding d/(n − T) with as many processes, where g is
    the time with all threads and d that of one process; equal at T = n·gn / (gn + d).

    Args:
        cores: n.
        decoding: d, seconds to decode a batch in one process.
        gradient: g, seconds of a gradient with all threads.

    >>> shared_out(16, decoding=0.0, gradient=1.0), shared_out(16, decoding=16.0, gradient=1.0)
    ((16, 1), (8, 8))
    """
    alone = gradient * cores
    threads = min(max(round(cores * alone / (alone + decoding)), 1), cores)
    return threads, max(cores - threads, 1)


def _fits(decided: tuple[int, int], cores: int) -> bool:
    """Whether so many cores could have been shared out so; one process may decode beside all."""
    threads, workers = decided
    return threads + workers <= max(cores, threads + 1) and threads <= cores


@final
class Threads:
    """Measures, where pictures are decoded as they are used and a processor trains; then shares.

    The choice is state: the number of threads decides the order of sums. One that needs more cores
    than there are, since it was made on another machine, is made anew.

    Args:
        run: The run.
        held: Other parts of its data, which are decoded by as many processes.
    """

    def __init__(self, run: Run, held: Iterable[Examples | None] = ()):
        self.run = run
        self.held = [part for part in held if part is not None and part.workers]
        self.decided: tuple[int, int] | None = None

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint must hold."""
        return {"decided": self.decided}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self.decided = state["decided"]

    @contextmanager
    def shared(self) -> Iterator[str | None]:
        """Train with its share of the threads inside; give what a reader should know of it."""
        before, batches = torch.get_num_threads(), self.run.batches
        if not batches.examples.workers or batches.device.type != "cpu" or self.run.world.size > 1:
            yield None
            return
        elsewhere = self.decided if self.decided and not _fits(self.decided, before) else None
        if self.decided is None or elsewhere:
            self.decided = self._measured(before)
        threads, workers = self.decided
        for part in (batches.examples, *self.held):
            part.workers = workers
        torch.set_num_threads(threads)
        said = f"{threads} of {before} threads train, {workers} processes decode"
        if elsewhere:
            said += (
                f"; there are too few cores for the {elsewhere[0]} and {elsewhere[1]} of before, so"
                " from here on the run differs from one that kept them by the order of sums"
            )
        try:
            yield said
        finally:
            torch.set_num_threads(before)

    def _measured(self, cores: int) -> tuple[int, int]:
        run = self.run
        examples, size = run.batches.examples, run.batches.size
        began = perf_counter()
        examples.gather(batch_index(run.seed, run.step, size, len(examples)))
        decoded = perf_counter()
        batch = run.batches.at(run.step)
        seconds = []
        for _ in range(2):  # the first warms up
            ready = perf_counter()
            with leaving_no_trace(run):
                trial_gradient(run, batch)
            seconds.append(perf_counter() - ready)
        return shared_out(cores, decoding=decoded - began, gradient=seconds[-1])
