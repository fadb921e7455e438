"""From what a data set or a card calls its task to the task."""

from skipwise.data import LABELS, NUMBERS
from skipwise.tasks.classification import Classification
from skipwise.tasks.multi_label import MultiLabel
from skipwise.tasks.regression import Regression
from skipwise.tasks.task import Task


def plain_task(word: str, classes: int, *, unit: float = 1.0) -> Task:
    """Give the task of that name, with nothing smoothed or weighed.

    Args:
        word: The name.
        classes: How many there are.
        unit: What targets that are numbers were divided by.
    """
    if word == NUMBERS:
        return Regression(unit=unit)
    return MultiLabel(classes=classes) if word == LABELS else Classification(classes=classes)
