"""Rules on how a model trains: its steps, its units, its norms, its data.

Takes measurements and plain numbers, gives verdicts.
"""

from skipwise.diagnosis.rules.training.batch_size import batch_size
from skipwise.diagnosis.rules.training.batch_statistics import batch_statistics
from skipwise.diagnosis.rules.training.dead_units import dead_units
from skipwise.diagnosis.rules.training.lost_updates import lost_updates
from skipwise.diagnosis.rules.training.overfitting import overfitting
from skipwise.diagnosis.rules.training.rate import rate
from skipwise.diagnosis.rules.training.stability import stability

__all__ = [
    "batch_size",
    "batch_statistics",
    "dead_units",
    "lost_updates",
    "overfitting",
    "rate",
    "stability",
]
