"""What an examination measures, in order, and within which time.

Takes a subject, gives measurements.
"""

from skipwise.diagnosis.plan.curvature import is_of_all, rate_of
from skipwise.diagnosis.plan.entries import PLAN
from skipwise.diagnosis.plan.entry import PROBE, Entry, hold

__all__ = ["PLAN", "PROBE", "Entry", "hold", "is_of_all", "rate_of"]
