"""Ways to get the runs of a study done: this process, this machine, a Ray cluster.

Takes tasks, gives news of how they go on. ``ray`` is imported only where it is asked for.
"""

from skipwise.studies.launchers.here import Here
from skipwise.studies.launchers.launcher import (
    DIVERGED,
    FAILED,
    FINISHED,
    REPEATED,
    STOPPED,
    Launcher,
    News,
    Outcome,
    Task,
    leave_mark,
    mark_of,
)
from skipwise.studies.launchers.machine import Machine

__all__ = [
    "DIVERGED",
    "FAILED",
    "FINISHED",
    "REPEATED",
    "STOPPED",
    "Here",
    "Launcher",
    "Machine",
    "News",
    "Outcome",
    "Task",
    "leave_mark",
    "mark_of",
]
