"""What decides which weights are best: the metrics that a task knows, and which way is better."""

import pytest
import torch

from skipwise.data import Batch
from skipwise.tasks import Classification, MultiLabel, Regression, Task, asked

ROWS = torch.arange(4)
TRUE = {
    Classification: torch.tensor([0, 1, 2, 1]),
    MultiLabel: torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    Regression: torch.tensor([[1.0, 2.0], [0.0, 1.0], [2.0, 2.0], [3.0, 1.0]]),
}
TASKS: list[Task] = [Classification(classes=3), MultiLabel(classes=3), Regression()]


def scored(task: Task, *, well: bool) -> dict[str, float]:
    """Give the metrics of outputs that say the truth, or its opposite."""
    targets = TRUE[type(task)]
    outputs = targets.double()
    if isinstance(task, Classification):
        outputs = torch.nn.functional.one_hot(targets, 3).double()
    outputs = 8 * outputs - 4 if not isinstance(task, Regression) else outputs + 0.1
    outputs = outputs if well else -outputs
    batch = Batch(inputs=torch.zeros(4, 1), targets=targets, index=ROWS)
    return task.metrics(task.tally(outputs, batch))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_every_metric_that_may_decide_is_reported_and_better_its_way(task: Task):
    good, bad = scored(task, well=True), scored(task, well=False)
    for name in task.judges:
        chosen = asked(task, metric=name)
        assert chosen.best_metric == name
        assert (good[name] > bad[name]) is chosen.higher


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_no_metric_leaves_it_to_the_task(task: Task):
    assert asked(task) == task
    assert task.best_metric in task.judges


def test_a_metric_that_the_task_does_not_know_is_refused_with_those_it_does():
    known = "only accuracy, balanced_accuracy, f1, loss"
    with pytest.raises(ValueError, match=f"'acuracy' for classification, {known}; did you mean"):
        asked(TASKS[0], metric="acuracy")
    with pytest.raises(ValueError, match="'auc' for several labels, only f1, precision, recall"):
        asked(TASKS[1], metric="auc")
    with pytest.raises(ValueError, match=r"'accuracy' for regression, only loss, rmse, r2$"):
        asked(TASKS[2], metric="accuracy")
