"""From what a data set or a card calls its task to the task, and to what a run asks of it."""

from collections.abc import Sequence
from dataclasses import replace

from skipwise.data import CLASSES, LABELS, NUMBERS
from skipwise.description import nearest
from skipwise.tasks.classification import CROSS_ENTROPY, Classification, balanced
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


def asked(
    task: Task,
    *,
    smoothing: float = 0.0,
    loss: str = CROSS_ENTROPY,
    weighed: bool = False,
    counts: Sequence[int] = (),
    metric: str | None = None,
) -> Task:
    """Give a task what a run asks of it.

    Args:
        task: The task, plain.
        smoothing: Of labels, see :class:`Classification`.
        loss: Of classes, likewise its ``objective``.
        weighed: Whether all classes have the same share in the training loss.
        counts: Training examples of each class.
        metric: What decides which weights are best; None leaves it to the task.

    Raises:
        ValueError: If labels are to be smoothed or weighed, or another loss is asked for, where
            there are no classes, or the task knows no such metric.
    """
    if metric is not None:
        task = replace(task, best_metric=_known(task, metric))
    if isinstance(task, Classification):
        weights = balanced(counts) if weighed else ()
        return replace(task, label_smoothing=smoothing, objective=loss, weights=weights)
    what = "several labels" if isinstance(task, MultiLabel) else "numbers"
    if smoothing:
        raise ValueError(f"label_smoothing has no effect on {what}; set strategy.label_smoothing=0")
    if loss != CROSS_ENTROPY:
        raise ValueError(
            f"strategy.loss={loss} is a choice for one class out of several and has no effect on"
            f" {what}; leave it out"
        )
    if weighed:
        raise ValueError(f"class weights have no effect on {what}; leave --class-weights out")
    return task


def _known(task: Task, metric: str) -> str:
    if metric not in task.judges:
        kinds = {Classification: CLASSES, MultiLabel: "several labels"}
        near = nearest(str(metric), task.judges)
        raise ValueError(
            f"there is no metric {metric!r} for {kinds.get(type(task), NUMBERS)}, only"
            f" {', '.join(task.judges)}" + (near if "did you mean" in near else "")
        )
    return metric
