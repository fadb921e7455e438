"""An experiment: network × data × strategy × length × seed, complete; the place where all meet.

Takes what a user gives, gives an Experiment with its data, and the Run that the loop trains.
Imports defaults, finetuning, networks, data, tasks, strategies, training.
"""

from skipwise.experiment.compose import (
    checked,
    compose,
    described_network,
    extended,
    nearest_setting,
    opened,
    settled,
)
from skipwise.experiment.experiment import UNFITTED_STEPS, Experiment, build, task_of

__all__ = [
    "UNFITTED_STEPS",
    "Experiment",
    "build",
    "checked",
    "compose",
    "described_network",
    "extended",
    "nearest_setting",
    "opened",
    "settled",
    "task_of",
]
