"""From what a data set or a card calls its task to the task."""

from skipwise.data import LABELS, NUMBERS
from skipwise.tasks.classification import Classification
from skipwise.tasks.multi_label import MultiLabel
from skipwise.tasks.regression import Regression
from skipwise.tasks.task import Task


def plain_task(word: str, classes: int) -> Task:
    """Give the task of that name for so many classes, with nothing smoothed or weighed."""
    if word == NUMBERS:
        return Regression()
    return MultiLabel(classes=classes) if word == LABELS else Classification(classes=classes)
