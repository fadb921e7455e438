"""Monitors that a user asks for: what they see of a run while it trains, and when they look.

Takes words and a run, gives records of measurements and verdicts, and notes.
"""

from skipwise.watch.monitors.choice import Choice, choices
from skipwise.watch.monitors.monitors import Monitors, Seen
from skipwise.watch.monitors.pace import Pace, Spent, next_point

__all__ = ["Choice", "Monitors", "Pace", "Seen", "Spent", "choices", "next_point"]
