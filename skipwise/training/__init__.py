"""The training loop and what keeps a run safe.

Takes a Run, gives Step, Step, …; trains any module.
"""

from skipwise.training.average import Average, with_own_statistics
from skipwise.training.checkpoint import LAST, load_checkpoint, newest_checkpoint, save_checkpoint
from skipwise.training.device import (
    DEVICE,
    PRECISIONS,
    autocast_type,
    choose_device,
    hardware,
    has_fast_bfloat16,
    keep_freed_memory,
    place_model,
    settle_kernels,
)
from skipwise.training.evaluate import evaluate
from skipwise.training.gradient import Counting, Gradient, accumulate
from skipwise.training.journal import Journal
from skipwise.training.loop import Step, train
from skipwise.training.policies import (
    CHOICES,
    Best,
    Compiling,
    Cost,
    Guarding,
    Pause,
    Target,
    Threads,
    TimeBudget,
    check_judged,
    check_step_fits,
    free_memory,
    guarded,
    waited,
    waiting_notes,
)
from skipwise.training.processes import (
    ALONE,
    World,
    attempt,
    check_shares,
    is_first_to_tell,
    is_loss_of_another,
    job,
    join,
    replicated,
    share_statistics,
)
from skipwise.training.run import Diverged, Run, learning_of
from skipwise.training.sharded import can_shard, repeated_blocks, sharded
from skipwise.training.signals import Interrupted, caught_signals

__all__ = [
    "ALONE",
    "CHOICES",
    "DEVICE",
    "LAST",
    "PRECISIONS",
    "Average",
    "Best",
    "Compiling",
    "Cost",
    "Counting",
    "Diverged",
    "Gradient",
    "Guarding",
    "Interrupted",
    "Journal",
    "Pause",
    "Run",
    "Step",
    "Target",
    "Threads",
    "TimeBudget",
    "World",
    "accumulate",
    "attempt",
    "autocast_type",
    "can_shard",
    "caught_signals",
    "check_judged",
    "check_shares",
    "check_step_fits",
    "choose_device",
    "evaluate",
    "free_memory",
    "guarded",
    "hardware",
    "has_fast_bfloat16",
    "is_first_to_tell",
    "is_loss_of_another",
    "job",
    "join",
    "keep_freed_memory",
    "learning_of",
    "load_checkpoint",
    "newest_checkpoint",
    "place_model",
    "repeated_blocks",
    "replicated",
    "save_checkpoint",
    "settle_kernels",
    "sharded",
    "share_statistics",
    "train",
    "waited",
    "waiting_notes",
    "with_own_statistics",
]
