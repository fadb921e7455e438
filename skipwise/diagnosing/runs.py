"""A run's folder as a patient: finished, running, or broken off."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from skipwise.analysis import weights_of
from skipwise.data import Data, Dataset
from skipwise.description import Call
from skipwise.diagnosing.patient import Patient, patient_of
from skipwise.diagnosis.history import history_of
from skipwise.experiment import Experiment, build
from skipwise.finetuning import prepared
from skipwise.reports import read_run
from skipwise.runs import experiment_of
from skipwise.tasks import Task
from skipwise.training import Run, newest_checkpoint, with_own_statistics
from skipwise.weights import BEST, read_tensors


@contextmanager
def patient_of_run(
    folder: Path, *, allow: Iterable[str] = (), data: Data | None = None
) -> Iterator[Patient]:
    """Take up a run as of its last save, with its data, loss, optimiser and history.

    Nothing in the folder is changed, so a run may go on meanwhile. Of weights from elsewhere, which
    a function of a user's own may hand out too, it is not judged how they begin.

    Args:
        folder: The run's folder.
        allow: Packages outside ``skipwise`` that its description may name.
        data: Its data, if they were made in Python.

    Raises:
        ValueError: If the folder is no run, has no weights yet, or its data have changed.
    """
    experiment = experiment_of(folder, allow=allow)
    reading = read_run(folder)
    state = _newest(folder)
    dataset = (experiment.data if data is None else data).load()
    if state is not None and state["data"] != dataset.digest:
        raise ValueError(
            f"the data of {folder} changed since it was trained, so it would be examined on others;"
            " give them back"
        )
    run, task, start = _built(experiment, dataset)
    said = _brought_to(run, state, folder)
    dataset = prepared(dataset, experiment.preprocessing)
    with patient_of(
        run,
        task,
        dataset,
        experiment,
        name=f"{folder}: {reading.title}",
        history=history_of(
            reading.events,
            planned_rate=run.strategy.peak_lr,
            foreign=experiment.weights is not None or isinstance(experiment.network, Call),
        ),
        start=start,
        folder=folder,
        facts={"run": str(folder), "state": reading.state, "weights": said},
    ) as patient:
        yield patient


def _newest(folder: Path) -> dict[str, Any] | None:
    try:
        return newest_checkpoint(folder)[0]
    except FileNotFoundError:  # the run has put a newer one in its place
        return newest_checkpoint(folder)[0]


def _built(
    experiment: Experiment, dataset: Dataset
) -> tuple[Run, Task, Mapping[str, Tensor] | None]:
    """Build the run at step 0, in one process, however many it has been trained by.

    What it began from is unknown if its file of weights is gone.
    """
    source = experiment.weights
    is_gone = source is not None and not Path(source).exists()
    alone = replace(experiment, shard=False, sync_norms=False)
    run, task = build(alone, dataset, resumed=is_gone)
    return run, task, None if is_gone else weights_of(run.model)


def _brought_to(run: Run, state: dict[str, Any] | None, folder: Path) -> str:
    """Bring a run to its last save, and say which weights these are.

    Raises:
        ValueError: If there are none.
    """
    if state is not None:
        run.restore(state["run"])
        said = f"in training after step {run.step:,}, from the last save"
        if run.strategy.searches:  # as it is evaluated
            with_own_statistics(
                run.model,
                run.batches,
                autocast=run.autocast,
                parts=run.parts,
                frozen=run.still,
            )
    elif (folder / BEST).is_file():
        tensors, _ = read_tensors(folder / BEST)
        run.load_weights(tensors)
        said = f"the best of the run, from {BEST}; its state of training is lost"
    else:
        raise ValueError(
            f"{folder} holds no weights yet: neither a checkpoint nor {BEST}; wait for its first"
            " save, or resume it"
        )
    for group in run.optimiser.param_groups:
        group["lr"] = _rate(run) * group.get("factor", 1.0)
    return said


def _rate(run: Run) -> float:
    """Give the rate of the next update, or of the last one where the run is over."""
    step = min(run.step, max(run.steps - 1, 0))
    return run.strategy.rate(step, run.steps) * run.rate_scale
