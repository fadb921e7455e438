"""What is learned.

Takes (output, batch), gives the loss as (sum, count), and metrics.
"""

from skipwise.tasks.classification import Classification, balanced
from skipwise.tasks.multi_label import MultiLabel
from skipwise.tasks.named import asked, plain_task
from skipwise.tasks.regression import Regression
from skipwise.tasks.task import Task

__all__ = ["Classification", "MultiLabel", "Regression", "Task", "asked", "balanced", "plain_task"]
