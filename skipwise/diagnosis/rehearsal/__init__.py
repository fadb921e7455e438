"""Real steps on a copy of a model and its optimiser, and what they did.

Takes a model, batches and an optimiser, gives plain numbers; changes none of them.
"""

from skipwise.diagnosis.rehearsal.moves import Moved, Rehearsal
from skipwise.diagnosis.rehearsal.steps import largest_rate, rehearse

__all__ = ["Moved", "Rehearsal", "largest_rate", "rehearse"]
