"""V10, at its borders and on labels that mean nothing."""

import math

import pytest
import torch
from torch import Tensor, nn

from skipwise.diagnosis import Evaluated, History, Level, generalisation
from skipwise.diagnosis.rules import overfitting
from tests.diagnosis.rules.training.made import NAN, blobs, fit, measured, perceptron, pieces


def gap(training: float, validation: float, *, error: float = 0.01, accuracy: float = 0.9):
    columns = {
        "loss": (training, validation),
        "accuracy": (1.0, accuracy),
        "examples": (100.0, 100.0),
    }
    figures = {
        "gap": validation - training,
        "standard error of the gap": error,
        "loss of guessing": 2.3,
        "accuracy of guessing": 0.1,
    }
    return measured(columns, figures, rows=("training", "validation"))


def course(losses, accuracies=(), training=(), steps=()) -> History:
    accuracies = accuracies or (NAN,) * len(losses)
    return History(
        steps=tuple(range(1, len(steps) + 1)),
        losses=tuple(steps),
        validation=tuple(
            Evaluated(step=10 * n, loss=loss, accuracy=right)
            for n, (loss, right) in enumerate(zip(losses, accuracies, strict=True))
        ),
        training=tuple(Evaluated(step=10 * n, loss=loss) for n, loss in enumerate(training)),
    )


RISING = course((1.0, 1.1, 1.2, 1.3), training=(0.5, 0.4, 0.3, 0.2))


def test_a_gap_alone_is_no_fault():
    assert overfitting(gap=gap(0.5, 1.0, error=0.25)).level is Level.PASS  # two errors
    assert overfitting(gap=gap(0.5, 1.0, error=0.2499)).level is Level.INFO
    assert overfitting(gap=gap(0.001, 1.0)).level is Level.INFO


def test_it_fails_where_training_is_near_zero_and_validation_turns():
    assert overfitting(gap=gap(0.1, 1.0), history=RISING).level is Level.FAIL
    assert overfitting(gap=gap(0.11, 1.0), history=RISING).level is Level.WARN
    assert overfitting(gap=gap(0.1, 1.0, error=0.5), history=RISING).level is Level.WARN
    assert overfitting(history=RISING).level is Level.WARN


def test_it_fails_where_validation_is_guessed():
    assert overfitting(gap=gap(0.1, 2.3, accuracy=0.1)).level is Level.FAIL
    assert overfitting(gap=gap(1.0, 2.4, accuracy=0.1)).level is Level.WARN
    assert overfitting(gap=gap(0.1, 2.2, accuracy=0.1)).level is Level.INFO
    # 3·√(a(1 − a)/100) is a − 0.1 at a = 0.22534.
    assert overfitting(gap=gap(0.1, 2.4, accuracy=0.225)).level is Level.FAIL
    assert overfitting(gap=gap(0.1, 2.4, accuracy=0.226)).level is Level.INFO
    assert overfitting(gap=gap(0.1, 2.4, accuracy=NAN)).level is Level.INFO


def test_a_validation_loss_of_next_to_nothing_may_rise():
    assert overfitting(gap=gap(0.001, 0.229), history=RISING).level is Level.INFO
    assert overfitting(gap=gap(0.001, 0.231), history=RISING).level is Level.FAIL


def test_calibration_is_told_only():
    rising = course((1.0, 1.1, 1.2, 1.3), (0.5, 0.5, 0.5, 0.51), training=(0.5, 0.4, 0.3, 0.2))
    found = overfitting(gap=gap(0.01, 1.3), history=rising)
    assert found.level is Level.INFO
    assert "calibration" in found.says
    same = course((1.0, 1.1, 1.2, 1.3), (0.5, 0.6, 0.5, 0.5), training=(0.5, 0.4, 0.3, 0.2))
    assert overfitting(gap=gap(0.01, 1.3), history=same).level is Level.FAIL


def test_three_evaluations_must_rise_in_a_row_while_training_falls():
    falling = (0.5, 0.4, 0.3, 0.2)
    assert overfitting(history=course((1, 1.1, 1.1, 1.3), training=falling)).level is Level.PASS
    assert overfitting(history=course((1, 1.1, 1.2), training=falling[:3])).level is Level.UNKNOWN
    up = course((1, 1.1, 1.2, 1.3), training=(0.2, 0.3, 0.4, 0.5))
    assert overfitting(history=up).level is Level.PASS


def test_training_may_be_read_off_the_steps_which_compare_with_themselves():
    fell = course((1, 1.1, 1.2, 1.3), steps=[1 - 0.01 * n for n in range(30)])
    rose = course((1, 1.1, 1.2, 1.3), steps=[1 + 0.01 * n for n in range(30)])
    assert overfitting(history=fell).level is Level.WARN
    assert overfitting(history=rose).level is Level.PASS
    assert overfitting(history=course((1, 1.1, 1.2, 1.3))).level is Level.PASS


def test_what_was_not_measured_is_unknown():
    assert overfitting().level is Level.UNKNOWN
    assert "augmented" in overfitting(history=History(steps=(1,), losses=(1.0,))).says


@pytest.mark.parametrize("seed", range(3))
def test_labels_that_are_shuffled_are_accused_and_true_ones_are_not(seed: int):
    seen, unseen = blobs(64, seed=seed, noise=1.5), blobs(400, seed=100 + seed, noise=1.5)
    mixed = seen[1][torch.randperm(64, generator=torch.Generator().manual_seed(seed))]
    for labels, accused in ((mixed, True), (seen[1], False)):
        model, training = perceptron(seed, hidden=256), (seen[0], labels)
        rule = torch.optim.Adam(model.parameters(), lr=5e-3)
        fit(model, training, rule, 150, size=64)
        found = overfitting(gap=generalisation(model, training, pieces(unseen, 100)))
        assert (found.level is Level.FAIL) == accused, found
        assert found.level in (Level.FAIL, Level.INFO, Level.PASS)


def test_both_parts_are_measured_as_by_hand():
    model = nn.Sequential(perceptron(0, norms=True), nn.Dropout(0.5)).train()
    seen, unseen = blobs(30, seed=0), blobs(50, seed=1)
    found = generalisation(model, pieces(seen, 7), unseen)
    assert model.get_submodule("0.1").training
    model.eval()
    with torch.no_grad():
        each = [
            nn.functional.cross_entropy(model(x), y, reduction="none") for x, y in (seen, unseen)
        ]
        right = [(model(x).argmax(1) == y).double().mean().item() for x, y in (seen, unseen)]
    assert found["loss"] == pytest.approx([losses.mean().item() for losses in each])
    errors = [(losses.std() / len(losses) ** 0.5).item() for losses in each]
    assert found["standard error"] == pytest.approx(errors)
    assert found["accuracy"] == pytest.approx(right)
    assert found["examples"] == (30.0, 50.0)
    assert found.figures["gap"] == pytest.approx(
        each[1].mean().item() - each[0].mean().item(), abs=1e-6
    )
    assert found.figures["standard error of the gap"] == pytest.approx(math.hypot(*errors))
    shares = torch.bincount(unseen[1]) / 50
    assert found.figures["loss of guessing"] == pytest.approx(-(shares * shares.log()).sum().item())
    assert found.figures["accuracy of guessing"] == pytest.approx(shares.max().item())


def test_guessing_has_the_loss_of_sigmoids_where_these_are_trained():
    seen, unseen = blobs(30, seed=0), blobs(50, seed=1)

    def binary(output: Tensor, targets: Tensor) -> Tensor:
        truth = nn.functional.one_hot(targets, output.shape[1]).to(output.dtype)
        return nn.functional.binary_cross_entropy_with_logits(output, truth)

    found = generalisation(perceptron(0), seen, unseen, binary)
    shares = torch.bincount(unseen[1]).double() / 50
    entropies = -(shares * shares.log() + (1 - shares) * (1 - shares).log())
    assert found.figures["loss of guessing"] == pytest.approx(entropies.mean().item())


def test_numbers_have_a_gap_and_no_accuracy():
    model, batch = nn.Linear(3, 1), (torch.randn(8, 3), torch.randn(8, 1))
    found = generalisation(model, batch, batch, nn.functional.mse_loss)
    assert found.figures["gap"] == 0
    assert math.isnan(found["accuracy"][0])
    assert math.isnan(found.figures["loss of guessing"])
    whole = generalisation(
        model, batch, batch, lambda output, targets: (output - 1).square().mean()
    )
    assert whole["loss"][0] == pytest.approx((model(batch[0]) - 1).square().mean().item())
