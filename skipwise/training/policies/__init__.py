"""What is decided while a run goes: the best weights, its length, which steps are refused, threads.

Takes steps, evaluations and the clock, gives lengths and choices; all of it is state of the run.
"""

from skipwise.training.policies.best import Best
from skipwise.training.policies.budget import Cost, TimeBudget
from skipwise.training.policies.compiling import CHOICES, Compiling
from skipwise.training.policies.fitting import check_step_fits, free_memory
from skipwise.training.policies.guard import Guarding, guarded
from skipwise.training.policies.pause import Pause
from skipwise.training.policies.target import Target, check_judged
from skipwise.training.policies.threads import Threads, shared_out
from skipwise.training.policies.waiting import waited, waiting_notes

__all__ = [
    "CHOICES",
    "Best",
    "Compiling",
    "Cost",
    "Guarding",
    "Pause",
    "Target",
    "Threads",
    "TimeBudget",
    "check_judged",
    "check_step_fits",
    "free_memory",
    "guarded",
    "shared_out",
    "waited",
    "waiting_notes",
]
