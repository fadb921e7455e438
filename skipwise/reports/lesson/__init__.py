"""The record of a lesson → its page: theory over measurement, trainings under them.

Takes plain numbers, gives one HTML file and the sentences that the numbers allow. No torch.
"""

from skipwise.reports.lesson.page import LESSON, lesson_page, lesson_report
from skipwise.reports.lesson.record import (
    DepthLesson,
    Expectation,
    Likeness,
    Profile,
    Setting,
    Training,
)
from skipwise.reports.lesson.story import Story, sentences, stories

__all__ = [
    "LESSON",
    "DepthLesson",
    "Expectation",
    "Likeness",
    "Profile",
    "Setting",
    "Story",
    "Training",
    "lesson_page",
    "lesson_report",
    "sentences",
    "stories",
]
