"""The part of a report on what a run's monitors saw.

Takes a reading, gives charts and tables; nothing of a run without monitors. Needs no torch.
"""

from skipwise.reports.watched.depth import over_depth
from skipwise.reports.watched.steps import over_steps
from skipwise.reports.watched.tables import costs, verdicts

__all__ = ["costs", "over_depth", "over_steps", "verdicts"]
