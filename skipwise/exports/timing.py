"""How fast an exported file computes on this machine, before and after eight bits."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from skipwise.exports.checking import FEW, Compute

CALLS = 10
SECONDS = 0.4  # for all files at one size of the batch, so that an export does not wait for it


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How long a file takes on this machine, with the threads that it takes by itself.

    Medians of at most nine calls; decoding and resizing of files is no part of them.

    Args:
        one_seconds: For a batch of one example, in seconds.
        several_seconds: For a batch of 16, in seconds for all of them together.
    """

    one_seconds: float
    several_seconds: float

    def __str__(self) -> str:
        return f"{_said(self.one_seconds)} for one example, {_said(self.several_seconds)} for {FEW}"


def speeds(files: Sequence[Compute], example: np.ndarray) -> list[Speed]:
    """Time what files compute, by turns, so that whatever else runs meets all of them alike.

    Args:
        files: What they compute.
        example: One, as they read it.
    """
    batches = (np.repeat(example, count, axis=0) for count in (1, FEW))
    one, several = (_medians(files, batch) for batch in batches)
    pairs = zip(one, several, strict=True)
    return [Speed(one_seconds=first, several_seconds=second) for first, second in pairs]


def _medians(files: Sequence[Compute], batch: np.ndarray) -> list[float]:
    """Time each file; the first call, which also reserves memory, counts only if it is alone."""
    taken: list[list[float]] = [[] for _ in files]
    begun = time.perf_counter()
    for call in range(CALLS):
        if call and time.perf_counter() - begun > SECONDS:
            break
        for compute, seconds in zip(files, taken, strict=True):
            before = time.perf_counter()
            compute(batch)
            seconds.append(time.perf_counter() - before)
    return [median(seconds[1:] or seconds) for seconds in taken]


def _said(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
