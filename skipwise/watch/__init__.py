"""Measuring a run while it goes, without changing it.

Takes steps, evaluations and the run, gives records for the journal, evidence for the report, and
numbers for TensorBoard.
"""

from skipwise.watch.gradients import layer_norms, layers_of
from skipwise.watch.hits import Hits
from skipwise.watch.monitors import Monitors, Seen, choices
from skipwise.watch.pictures import picture_of
from skipwise.watch.shares import branch_shares
from skipwise.watch.tracking import tensorboard
from skipwise.watch.watch import Watch
from skipwise.watch.witness import Witness

__all__ = [
    "Hits",
    "Monitors",
    "Seen",
    "Watch",
    "Witness",
    "branch_shares",
    "choices",
    "layer_norms",
    "layers_of",
    "picture_of",
    "tensorboard",
]
