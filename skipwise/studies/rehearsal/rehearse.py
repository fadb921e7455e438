"""A run is built and takes two gradients, and nothing of it is kept."""

import resource
import sys
import time

import torch

from skipwise.data import Dataset
from skipwise.experiment import Experiment, build
from skipwise.finetuning import prepared
from skipwise.studies.launchers.launcher import FINISHED, Outcome
from skipwise.studies.rehearsal.memory import check_weights_fit, size_of
from skipwise.training import check_step_fits
from skipwise.training.gradient import leaving_no_trace, trial_gradient


def rehearse(experiment: Experiment, dataset: Dataset) -> Outcome:
    """Build a run and take two gradients of a whole batch; nothing is kept.

    Raises:
        ValueError: If the parts do not go together.
    """
    read = prepared(dataset, experiment.preprocessing)  # perhaps grey as colours
    size = size_of(experiment, read)
    if size is not None:
        check_weights_fit(experiment, size)
    run, _ = build(experiment, dataset)
    if experiment.compile != "on":  # compiled it may keep less
        check_step_fits(run, read.ends.inputs)
    seconds = []
    for _ in range(2):  # the first warms up
        began = time.perf_counter()
        batch = run.batches.at(0)
        with leaving_no_trace(run):
            for _ in range(run.parts):
                trial_gradient(run, batch)
        if run.batches.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    run.batches.close()
    size = size or size_of(experiment, read, run.model)
    return Outcome(
        state=FINISHED,
        memory_bytes=_most_memory(),
        macs=0 if size is None else size.macs,
        step_seconds=min(seconds),
        planned_steps=run.steps,
    )


def _most_memory() -> int:
    """Give the most bytes that this process had of the machine's memory; a GPU has its own."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used
