"""Losses and metrics against their formulas; sums that add up over batches."""

import pytest
import torch

from skipwise.data import Batch
from skipwise.tasks import Classification, Regression, Task
from tests.references import close

OUTPUT = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
NUMBERS = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def batch(targets: torch.Tensor) -> Batch:
    rows = torch.arange(len(targets))
    return Batch(inputs=torch.zeros(len(targets), 1), targets=targets, index=rows)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_its_formula(smoothing: float):
    loss, count = Classification(classes=4, label_smoothing=smoothing).loss(OUTPUT, batch(LABELS))
    p = OUTPUT.float().exp() / OUTPUT.float().exp().sum(1, keepdim=True)
    target = torch.full((6, 4), smoothing / 4)
    target[torch.arange(6), LABELS] += 1 - smoothing
    close(loss, -(target * p.log()).sum())
    assert count == 6


def test_accuracy_and_loss_of_a_part_are_exact():
    task = Classification(classes=4, label_smoothing=0.3)
    metrics = task.metrics(task.tally(OUTPUT, batch(LABELS)))
    right = sum(int(r.argmax() == y) for r, y in zip(OUTPUT, LABELS, strict=True))
    assert metrics["accuracy"] == right / 6
    nats = [-torch.log_softmax(r, 0)[y] for r, y in zip(OUTPUT, LABELS, strict=True)]
    assert metrics["loss"] == pytest.approx(float(sum(nats)) / 6, rel=1e-12)


def test_the_residual_objective_is_the_mean_of_squared_distances():
    loss, count = Regression().loss(OUTPUT.float(), batch(NUMBERS.float()))
    wanted = sum((y - o).norm() ** 2 for y, o in zip(NUMBERS, OUTPUT, strict=True)) / 6
    assert float(loss) / count == pytest.approx(float(wanted), rel=1e-6)


def test_regression_metrics_are_those_of_scikit_learn():
    from sklearn.metrics import r2_score, root_mean_squared_error

    metrics = Regression().metrics(Regression().tally(OUTPUT, batch(NUMBERS)))
    wanted = r2_score(NUMBERS, OUTPUT, multioutput="variance_weighted")
    assert metrics["r2"] == pytest.approx(wanted, rel=1e-12)
    flat = root_mean_squared_error(NUMBERS.flatten(), OUTPUT.flatten())
    assert metrics["rmse"] == pytest.approx(flat, rel=1e-12)


@pytest.mark.parametrize(
    ("task", "targets"),
    [(Classification(classes=4), LABELS), (Regression(), NUMBERS)],
    ids=["classes", "numbers"],
)
def test_sums_add_up_over_batches(task: Task, targets: torch.Tensor):
    whole = task.tally(OUTPUT, batch(targets))
    first, second = (task.tally(OUTPUT[a:b], batch(targets[a:b])) for a, b in ((0, 2), (2, 6)))
    for name, value in whole.items():
        close(first[name] + second[name], value)


def test_an_output_of_another_shape_is_refused_not_broadcast():
    with pytest.raises(ValueError, match=r"the network gives \(6, 1\), but targets need \(6, 4\)"):
        Regression().loss(OUTPUT[:, :1], batch(NUMBERS))
    with pytest.raises(ValueError, match="6 examples of 5 classes need"):
        Classification(classes=5).loss(OUTPUT, batch(LABELS))
