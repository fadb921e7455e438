"""Losses and metrics against their formulas; sums that add up over batches."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skipwise.data import Batch
from skipwise.experiment import build, compose
from skipwise.strategies import sgd
from skipwise.tasks import Classification, MultiLabel, Regression, Task, asked, balanced
from skipwise.training import train
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


MANY = torch.randn(500, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
TRUE = torch.randint(0, 7, (500,), generator=torch.Generator().manual_seed(3))  # class 7 is absent


def test_top5_f1_and_the_table_are_those_of_scikit_learn():
    from sklearn.metrics import precision_recall_fscore_support, top_k_accuracy_score

    task = Classification(classes=8)
    tally = task.tally(MANY, batch(TRUE))
    metrics, table = task.metrics(tally), task.per_class(tally)
    options: Any = {"labels": list(range(8)), "zero_division": 0}
    wanted: Any = precision_recall_fscore_support(TRUE, MANY.argmax(1), **options)
    for name, column in zip(("precision", "recall", "f1", "examples"), wanted, strict=True):
        assert list(table[name]) == pytest.approx(list(column), rel=1e-12)
    assert metrics["f1"] == pytest.approx(float(wanted[2].mean()), rel=1e-12)
    top5 = top_k_accuracy_score(TRUE, MANY, k=5, labels=range(8))
    assert metrics["top5"] == pytest.approx(top5, rel=1e-12)


def test_balanced_accuracy_is_that_of_scikit_learn():
    from sklearn.metrics import balanced_accuracy_score

    task = Classification(classes=8)
    found = task.metrics(task.tally(MANY, batch(TRUE)))["balanced_accuracy"]
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        wanted = balanced_accuracy_score(TRUE, MANY.argmax(1))
    assert found == pytest.approx(wanted, rel=1e-12)
    rare = torch.tensor([0] * 19 + [1])
    always = torch.tensor([[1.0, 0.0]] * 20)
    one = Classification(classes=2)
    scored = one.metrics(one.tally(always, batch(rare)))
    assert (scored["accuracy"], scored["balanced_accuracy"]) == (0.95, 0.5)


def test_the_calibration_error_is_its_formula_bin_by_bin():
    task = Classification(classes=8)
    found = task.metrics(task.tally(MANY, batch(TRUE)))["calibration_error"]
    p, answer = (MANY.exp() / MANY.exp().sum(1, keepdim=True)).max(1)
    wanted = 0.0
    for m in range(1, 16):
        inside = (p > (m - 1) / 15) & (p <= m / 15)
        if inside.any():
            gap = (answer == TRUE)[inside].double().mean() - p[inside].mean()
            wanted += float(gap.abs() * inside.sum() / 500)
    assert found == pytest.approx(wanted, rel=1e-10)


def test_targets_that_are_shares_give_the_mean_of_the_two_losses():
    task = Classification(classes=4, label_smoothing=0.1)
    first, second = (task.loss(OUTPUT, batch(y))[0] for y in (LABELS, LABELS.flip(0)))
    vectors = [torch.nn.functional.one_hot(y, 4).float() for y in (LABELS, LABELS.flip(0))]
    mixed, count = task.loss(OUTPUT, batch(0.3 * vectors[0] + 0.7 * vectors[1]))
    close(mixed, 0.3 * first + 0.7 * second)
    assert count == 6


def test_weighted_classes_weigh_in_sum_and_in_count():
    weights = (0.5, 1.0, 2.0, 3.0)
    task = Classification(classes=4, weights=weights)
    loss, count = task.loss(OUTPUT, batch(LABELS))
    terms = [
        -torch.log_softmax(row, 0)[y] * weights[y]
        for row, y in zip(OUTPUT.float(), LABELS.tolist(), strict=True)
    ]
    close(loss, torch.stack(terms).sum())
    assert count == sum(weights[y] for y in LABELS.tolist())
    vectors = torch.nn.functional.one_hot(LABELS, 4).float()
    mixed, same = task.loss(OUTPUT, batch(vectors))
    close(mixed, loss)
    assert same == count


HALF = torch.tensor([[0.7, 0.3, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]])


def slow_binary(output: np.ndarray, shares: np.ndarray, smoothing: float) -> list[float]:
    """Compute each example's binary cross-entropy as it is written, class by class."""
    found = []
    for row, given in zip(output.tolist(), shares.tolist(), strict=True):
        terms = []
        for o, t in zip(row, given, strict=True):
            smooth, p = (1 - smoothing) * t + smoothing / len(row), 1 / (1 + np.exp(-o))
            terms.append(-smooth * np.log(p) - (1 - smooth) * np.log(1 - p))
        found.append(sum(terms) / len(terms))
    return found


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("targets", [LABELS, HALF.repeat(2, 1)], ids=["classes", "mixed"])
def test_the_binary_loss_is_its_formula(targets: torch.Tensor, smoothing: float):
    task = Classification(classes=4, label_smoothing=smoothing, objective="binary")
    loss, count = task.loss(OUTPUT, batch(targets))
    shares = targets if targets.dim() > 1 else torch.eye(4)[targets]
    assert float(loss) == pytest.approx(
        sum(slow_binary(OUTPUT.numpy(), shares.numpy(), smoothing)), rel=1e-6
    )
    assert count == 6
    plain = Classification(classes=4)
    if targets.dim() == 1:  # evaluations are the same
        one, other = (t.metrics(t.tally(OUTPUT, batch(targets))) for t in (task, plain))
        assert one == other


def test_the_binary_loss_of_two_outputs_is_what_a_hand_computes():
    task = Classification(classes=2, objective="binary")
    output = torch.tensor([[0.0, np.log(3.0)]])  # σ is 1/2 and 3/4
    assert float(task.loss(output, batch(torch.tensor([1])))[0]) == pytest.approx(0.4904146)
    mixed = batch(torch.tensor([[0.25, 0.75]]))  # ½ [ln 2 + ¾ ln 4/3 + ¼ ln 4]
    assert float(task.loss(output, mixed)[0]) == pytest.approx(0.6277412)


def test_the_binary_loss_is_that_of_timm():
    from timm.loss.binary_cross_entropy import BinaryCrossEntropy

    task = Classification(classes=4, label_smoothing=0.1, objective="binary")
    loss, count = task.loss(OUTPUT, batch(LABELS))
    assert float(loss) / count == pytest.approx(
        float(BinaryCrossEntropy(smoothing=0.1)(OUTPUT, LABELS)), rel=1e-6
    )


def test_weighted_classes_weigh_examples_of_the_binary_loss():
    weights = np.array([0.5, 1.0, 2.0, 3.0])
    task = Classification(classes=4, weights=tuple(weights), objective="binary")
    for targets in (LABELS, HALF.repeat(2, 1)):
        shares = (targets if targets.dim() > 1 else torch.eye(4)[targets]).numpy()
        loss, count = task.loss(OUTPUT, batch(targets))
        of_examples = shares @ weights
        wanted = of_examples @ slow_binary(OUTPUT.numpy(), shares, 0.0)
        assert float(loss) == pytest.approx(wanted, rel=1e-6)
        assert float(count) == pytest.approx(of_examples.sum(), rel=1e-6)


def test_a_run_descends_the_binary_loss_and_says_so(tmp_path: Path):
    labels = np.arange(60) % 3
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(60, 3)), y=labels)
    strategy = replace(sgd(), loss="binary", label_smoothing=0.1)
    experiment, dataset = compose(
        str(tmp_path / "a.npz"), None, strategy, steps=1, batch_size=16, precision="float32"
    )
    run, _ = build(experiment, dataset)
    assert any("the loss of training is the binary cross-entropy" in note for note in run.notes)
    seen = run.batches.at(0)
    with torch.no_grad():
        output = run.model(seen.inputs).numpy()
    wanted = np.mean(slow_binary(output, np.eye(3)[seen.targets], 0.1))
    assert next(train(run)).loss.item() == pytest.approx(wanted, rel=1e-5)


def test_the_binary_loss_is_refused_where_there_are_no_classes():
    for task, what in ((Regression(), "numbers"), (MultiLabel(classes=3), "several labels")):
        with pytest.raises(ValueError, match=f"loss=binary is a choice .* no effect on {what}"):
            asked(task, loss="binary")
    with pytest.raises(ValueError, match="objective must be one of cross-entropy, binary, got"):
        Classification(classes=2, objective="hinge")


def test_balanced_weights_give_each_class_the_same_share():
    from sklearn.utils.class_weight import compute_class_weight

    labels = [0] * 7 + [1] * 2 + [2] * 11
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert balanced((7, 2, 11)) == pytest.approx(list(wanted), rel=1e-12)
    with pytest.raises(ValueError, match="class 1 has no training example"):
        balanced((3, 0, 1))


def test_a_run_with_class_weights_descends_the_weighted_mean_over_its_batch(tmp_path: Path):
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.repeat([0, 1, 2], (60, 30, 10))
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(100, 3)), y=labels)
    experiment, dataset = compose(
        str(tmp_path / "a.npz"), steps=1, batch_size=16, class_weights=True, precision="float32"
    )
    run, _ = build(experiment, dataset)
    learned_from = dataset.train.gather(torch.arange(len(dataset.train)))[1].numpy()
    each = compute_class_weight("balanced", classes=np.arange(3), y=learned_from)
    seen = run.batches.at(0)
    weights = torch.from_numpy(each)[seen.targets]
    with torch.no_grad():
        nats = -run.model(seen.inputs).double().log_softmax(1)
    wanted = (weights * nats[torch.arange(16), seen.targets]).sum() / weights.sum()
    assert next(train(run)).loss.item() == pytest.approx(wanted.item(), rel=1e-5)
