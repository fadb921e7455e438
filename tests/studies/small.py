"""Small studies for the tests: one block of width 4 on a few rings, a few steps."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from skipwise.data import Arrays, Dataset
from skipwise.experiment import compose
from skipwise.networks import ResNet
from skipwise.strategies import Strategy, adam, momentum, sgd
from skipwise.studies import Study
from skipwise.studies.launchers import Task
from tests.processes import PATHS
from tests.references import rings_file

NETWORK = ResNet(name="tiny", blocks=(1,), width=4)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PATHS}
SETTINGS = "--set network.width=4 --set network.blocks=[1] --batch-size 32 --no-report".split()


def small_study(
    folder: Path, *strategies: Strategy, steps: int = 6, **fields: Any
) -> tuple[Study, Dataset]:
    """Make a study of the small network with some strategies."""
    rings = Arrays(path=str(rings_file(folder / "rings.npz", 120)))
    chosen = strategies or (sgd(), momentum())
    experiment, dataset = compose(
        rings, NETWORK, chosen[0], steps=steps, batch_size=32, augmentation=()
    )
    fields = {"networks": (NETWORK,), "strategies": chosen, "seeds": 2, **fields}
    return Study(experiment=experiment, **fields), dataset


def with_steps(study: Study, steps: int) -> Study:
    return dataclasses.replace(study, experiment=dataclasses.replace(study.experiment, steps=steps))


def with_network(task: Task, folder: Path, code: str) -> Task:
    """Give the task with a network of a user's own: the function ``net`` of a module ``users``.

    The module lies in the folder, which must be where Python looks.
    """
    (folder / "users.py").write_text(code)
    head, _, tail = task.experiment.partition("network:\n")
    text = f"{head}network:\n  is: users:net\n{tail[tail.index('strategy:') :]}"
    return dataclasses.replace(task, experiment=text, allow=("users",))


def started(*words: str) -> subprocess.Popen:
    """Start ``skipwise compare`` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "skipwise", "compare", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def ended(*words: str) -> int:
    """Run ``skipwise compare`` to its end, and give its exit code."""
    process = started(*words)
    process.communicate(timeout=200)
    return process.returncode


def weights_below(folder: Path) -> dict[str, bytes]:
    """Give the weights that each run of a study kept."""
    return {
        path.parent.name: path.read_bytes()
        for path in sorted(folder.glob("runs/*/best.safetensors"))
    }


__all__ = [
    "ENVIRONMENT",
    "NETWORK",
    "SETTINGS",
    "adam",
    "ended",
    "small_study",
    "started",
    "weights_below",
    "with_network",
    "with_steps",
]
