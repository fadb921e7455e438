"""Several labels: the loss against its formula, the metrics against scikit-learn."""

import pytest
import torch
from sklearn import metrics as theirs

from skipwise.data import Batch
from skipwise.tasks import MultiLabel
from tests.references import close

NOISE = torch.Generator().manual_seed(0)
OUTPUT = torch.randn(40, 5, dtype=torch.float64, generator=NOISE)
TARGETS = (torch.rand(40, 5, generator=NOISE) < 0.3).float()
OUTPUT[:, 3] = -1.0  # never given
TARGETS[:, 4] = 0.0  # never true


def batch(rows: slice = slice(None)) -> Batch:
    targets = TARGETS[rows]
    return Batch(inputs=targets, targets=targets, index=torch.arange(len(targets)))


def test_the_loss_is_the_mean_over_classes_summed_over_examples():
    loss, count = MultiLabel(classes=5).loss(OUTPUT, batch())
    p = 1 / (1 + (-OUTPUT.float()).exp())
    close(loss, -(TARGETS * p.log() + (1 - TARGETS) * (1 - p).log()).mean(1).sum())
    assert count == 40


def test_metrics_are_those_of_scikit_learn():
    task = MultiLabel(classes=5)
    found = task.metrics(task.tally(OUTPUT, batch()))
    truth, given = TARGETS.int().numpy(), (OUTPUT >= 0).int().numpy()
    for name, function in (
        ("f1", theirs.f1_score),
        ("precision", theirs.precision_score),
        ("recall", theirs.recall_score),
    ):
        wanted = function(truth, given, average="macro", zero_division=0)  # pyright: ignore[reportArgumentType]
        assert found[name] == pytest.approx(wanted, rel=1e-12), name
    assert found["exact"] == pytest.approx(theirs.accuracy_score(truth, given), rel=1e-12)
    wanted = theirs.log_loss(truth.ravel(), OUTPUT.sigmoid().numpy().ravel())
    assert found["loss"] == pytest.approx(wanted, rel=1e-12)


def test_sums_add_up_over_batches():
    task = MultiLabel(classes=5)
    whole = task.tally(OUTPUT, batch())
    first, second = (task.tally(OUTPUT[rows], batch(rows)) for rows in (slice(7), slice(7, None)))
    for name, value in whole.items():
        close(first[name] + second[name], value)


def test_an_output_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"gives \(40, 5\), but 40 examples of 4 labels need"):
        MultiLabel(classes=4).loss(OUTPUT, batch())
