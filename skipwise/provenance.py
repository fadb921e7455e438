"""Where a run comes from: what report and log say of data, network, machine and versions."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from skipwise.data import Dataset
from skipwise.experiment import Experiment
from skipwise.tasks import Task
from skipwise.training import Run, hardware


def facts(experiment: Experiment, dataset: Dataset, run: Run, task: Task) -> dict[str, Any]:
    """Give what the report should say of a run; plain values."""
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {
        "data": dataset.name,
        "task": dataset.task,
        "classes": list(dataset.classes),
        "digest": dataset.digest,
        "examples": {name: len(part) for name, part in parts.items() if part is not None},
        "network": experiment.network.name,
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "strategy": experiment.strategy.name,
        "seed": experiment.seed,
        "batch": run.batches.size,
        "metric": task.best_metric,
        "higher": task.higher,
        "hardware": hardware(run.batches.device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        **conditions(run),
    }


def log_session(path: Path, step: int, notes: Iterable[str]) -> None:
    """Add a session to the log: command, versions, machine, and what was noted of the data."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "none"
    lines = [
        f"{time.strftime('%Y-%m-%d %H:%M:%S')} session from step {step}: {' '.join(sys.argv)}",
        f"skipwise {version('skipwise')}, torch {torch.__version__},"
        f" python {platform.python_version()}, {platform.platform()}",
        f"threads {torch.get_num_threads()}, git commit of the working folder: {commit}",
        *notes,
    ]
    with path.open("a", encoding="utf-8") as log:
        log.write("\n".join(lines) + "\n\n")


def conditions(run: Run) -> dict[str, Any]:
    """Give what the numbers of a run depend on beside its description; a checkpoint holds it."""
    precision = "float32" if run.autocast is None else str(run.autocast).removeprefix("torch.")
    return {
        "processes": run.world.size,
        "device": run.batches.device.type,
        "precision": precision,
    }


SHARED = ", the statistics of batch norms (each process has those of its share)"


def no_longer_exact(saved: Mapping[str, Any], run: Run, experiment: Experiment) -> tuple[str, ...]:
    """Say what a run loses that goes on under other conditions.

    Args:
        saved: The checkpoint; an old one lacks some of the conditions, which are taken as kept.
        run: The run that goes on from it.
        experiment: Its description.
    """
    now = conditions(run)
    before, found = {**now, "processes": 1, **saved}, []
    if before["processes"] != now["processes"]:
        apart = "" if experiment.sync_norms else SHARED
        one = "1 process" if before["processes"] == 1 else f"{before['processes']} processes"
        found.append(
            f"the run had {one} and goes on with {now['processes']}: from here on it differs from"
            f" one that kept them by the order of sums{apart} and noise that does not follow the"
            " examples, such as dropout"
        )
    was, becomes = (f"{c['precision']} on {c['device']}" for c in (before, now))
    if was != becomes:
        found.append(
            f"the run was computed in {was} and goes on in {becomes}: from here on it differs from"
            " one that stayed there by rounding and the order of sums"
        )
    if experiment.sync_norms and now["processes"] > 1 and now["device"] != "cuda":
        found.append(
            "torch synchronises batch norms on GPUs only: from here on each process normalises by"
            " the statistics of its own share of a batch"
        )
    return tuple(found)
