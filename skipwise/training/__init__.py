"""The training loop and what keeps a run safe.

Takes a Run, gives Step, Step, …; trains any module.
Imports data, strategies, randomness, records and files.
"""

from skipwise.training.average import Average, with_own_statistics
from skipwise.training.best import Best
from skipwise.training.budget import Cost, TimeBudget
from skipwise.training.checkpoint import LAST, load_checkpoint, newest_checkpoint, save_checkpoint
from skipwise.training.device import (
    PRECISIONS,
    autocast_type,
    choose_device,
    has_fast_bfloat16,
    place_model,
)
from skipwise.training.evaluate import evaluate
from skipwise.training.gradient import Gradient, accumulate
from skipwise.training.journal import Journal
from skipwise.training.loop import Step, train
from skipwise.training.run import Diverged, Run
from skipwise.training.signals import Interrupted, caught_signals

__all__ = [
    "LAST",
    "PRECISIONS",
    "Average",
    "Best",
    "Cost",
    "Diverged",
    "Gradient",
    "Interrupted",
    "Journal",
    "Run",
    "Step",
    "TimeBudget",
    "accumulate",
    "autocast_type",
    "caught_signals",
    "choose_device",
    "evaluate",
    "has_fast_bfloat16",
    "load_checkpoint",
    "newest_checkpoint",
    "place_model",
    "save_checkpoint",
    "train",
    "with_own_statistics",
]
