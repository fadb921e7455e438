"""Lessons: what a student can measure and train in two minutes, with the theory over it.

Takes a topic, gives a record of plain numbers and its page.
"""

from skipwise.lessons.chain import DESIGNS, Chain, Design, Rectified, Squashed
from skipwise.lessons.clock import Clock
from skipwise.lessons.depth import Scope, depth_lesson
from skipwise.lessons.explain import TOPICS, Explanation, explain

__all__ = [
    "DESIGNS",
    "TOPICS",
    "Chain",
    "Clock",
    "Design",
    "Explanation",
    "Rectified",
    "Scope",
    "Squashed",
    "depth_lesson",
    "explain",
]
