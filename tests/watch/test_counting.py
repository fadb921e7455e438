"""Right answers are those of one step; gradients are measured at the first and then evenly."""

import pytest
import torch

from skipwise.data import Batch
from skipwise.tasks import Classification
from skipwise.watch import Hits
from skipwise.watch.watch import _is_due


def test_right_answers_are_counted_anew_after_they_were_taken():
    task = Classification(classes=2)
    hits = Hits(task.loss, task)
    assert hits.take() is None
    for steps in ([(4, 3), (2, 0)], [(6, 6)], [(5, 1)]):  # (examples, right) of a step's parts
        for count, right in steps:
            said = torch.eye(2)[torch.zeros(count, dtype=torch.int64)]
            targets = (torch.arange(count) >= right).long()
            hits(said, Batch(inputs=said, targets=targets, index=torch.arange(count)))
        share = hits.take()
        assert share is not None
        wanted = sum(right for _, right in steps) / sum(count for count, _ in steps)
        assert float(share) == pytest.approx(wanted)


def test_a_long_run_is_measured_at_its_first_update_and_two_hundred_times_evenly():
    found = [step for step in range(1, 1001) if _is_due(step, 1000)]
    assert found == [1, *range(5, 1001, 5)]
    assert all(_is_due(step, 150) for step in range(1, 151))
