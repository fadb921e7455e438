"""Whether the steps of a run waited for their batches, and what would help."""

import math
from collections.abc import Iterable

from skipwise.data import Batches, InMemory
from skipwise.records import Event, StepRecord

SHARE = 0.2  # of the steps' time, from which on it is said
SECONDS = 10.0  # below which it is not worth a word


def waited(steps: Iterable[StepRecord], *, on_gpu: bool) -> tuple[float, float]:
    """Give the seconds for which training waited for batches, and those of the steps.

    While a batch is made a GPU may still compute an earlier step. As long as the processor then
    waits for it, which is the rest of a step, it has not waited for the batch.

    Args:
        steps: Those that do not say how their time divides count for nothing.
        on_gpu: Whether a GPU computed them.
    """
    data = rest = seconds = 0.0
    for step in steps:
        computed = step.gradient_seconds + step.optimiser_seconds
        if math.isfinite(step.data_seconds + computed):
            data += step.data_seconds
            rest += step.seconds - step.data_seconds - computed
            seconds += step.seconds
    return max(data - rest, 0.0) if on_gpu else data, seconds


def waiting_notes(events: Iterable[Event], batches: Batches) -> tuple[str, ...]:
    """Say what batches cost and how they would cost less, if that is a large part of the steps.

    Args:
        events: The journal of the run.
        batches: Where they came from.
    """
    steps = (event for event in events if isinstance(event, StepRecord))
    data, seconds = waited(steps, on_gpu=batches.device.type == "cuda")
    help = _help(batches)
    if data <= max(SHARE * seconds, SECONDS) or not help:
        return ()
    return (f"waiting for batches took {data:.0f} of the steps' {seconds:.0f} s; {help}",)


def _help(batches: Batches) -> str:
    """Say what would make batches cheaper; nothing where they are only gathered from memory."""
    if batches.examples.workers:
        return (
            "pictures were decoded as they were used: a larger --memory, if there is so much, has"
            " them decoded once, and more cores have more processes decode them"
        )
    if not isinstance(batches.examples, InMemory):
        return "your data set gives one example at a time: let it keep what it reads or computes"
    slow = [type(a).__name__ for a in batches.single if a.picture_by_picture]
    if slow:
        return f"{' and '.join(slow)} change pictures one by one: --augment without is quicker"
    changed = batches.single or batches.mixing
    return "--augment with fewer changes of the pictures is quicker" if changed else ""
