"""V11, at its borders and on real networks."""

import pytest
import torch

from skipwise.analysis import normalisation
from skipwise.diagnosis import Level
from skipwise.diagnosis.rules import batch_statistics
from tests.diagnosis.rules.training.made import blobs, fit, measured, normalised, perceptron, pieces


def found(gap=0.0, shift=0.0, ratio=1.0, batches=100.0, settled=1.0):
    columns = {
        "shift": (shift,),
        "variance ratio": (ratio,),
        "settled": (settled,),
        "batches": (batches,),
    }
    losses = {"loss in evaluation mode": 1 + gap, "loss in training mode": 1.0}
    return measured(columns, {"relative gap": gap, **losses})


def level(**numbers) -> Level:
    return batch_statistics(normalisation=found(**numbers)).level


def test_each_border_warns_and_two_witnesses_accuse():
    assert level(gap=0.1, shift=0.5, ratio=2.0) is level(ratio=0.5) is Level.PASS
    assert level(gap=-5.0) is Level.PASS  # dropout makes training mode worse
    for one in ({"gap": 0.101}, {"shift": 0.501}, {"ratio": 2.001}, {"ratio": 0.499}):
        assert level(**one) is Level.WARN
    assert level(gap=0.101, shift=0.501) is level(gap=0.101, ratio=0.499) is Level.FAIL


def test_few_batches_are_told_and_no_fault():
    stale = {"gap": 9.0, "shift": 9.0}
    assert level(**stale, batches=28, settled=0.95) is Level.INFO  # 1 − 0.9²⁸ = 0.948
    assert level(**stale, batches=29, settled=0.95) is Level.FAIL
    told = batch_statistics(normalisation=found(**stale, batches=3, settled=0.271))
    assert "27% settled after 3 batches" in told.says


def test_while_the_rate_is_high_a_loss_alone_is_no_fault():
    def at(share: float, **numbers: float) -> Level:
        return batch_statistics(normalisation=found(**numbers), rate_share=share).level

    assert at(0.1, gap=9.0) is Level.WARN
    assert at(0.11, gap=9.0) is Level.INFO
    assert at(1.0, shift=0.6) is Level.WARN
    assert at(1.0, gap=9.0, shift=0.6) is Level.FAIL


def test_a_share_of_next_to_nothing_costs_nothing():
    def at(guessing: float, **numbers: float) -> Level:
        return batch_statistics(normalisation=found(**numbers), guessing=guessing).level

    assert [at(19.9, gap=1.0), at(20.1, gap=1.0)] == [Level.WARN, Level.PASS]
    assert at(20.1, gap=1.0, shift=0.6) is Level.WARN  # what is off is still told


def test_what_was_not_measured_is_unknown():
    assert batch_statistics().level is Level.UNKNOWN


@pytest.mark.parametrize("seed", range(3))
def test_a_momentum_that_never_settles_is_accused_and_the_usual_is_not(seed: int):
    batch = blobs(512, seed=seed)
    for momentum, expected in ((1e-4, Level.FAIL), (0.1, Level.PASS)):
        model = normalised(seed, momentum=momentum)
        fit(model, batch, torch.optim.SGD(model.parameters(), lr=0.05), 60, size=64)
        verdict = batch_statistics(normalisation=normalisation(model, pieces(batch, 64)))
        assert verdict.level is expected, verdict
    assert model.get_buffer("1.num_batches_tracked") == 60


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_has_seen_nothing_is_only_told(seed: int):
    batch = blobs(256, seed=seed)
    measured_now = normalisation(perceptron(seed, norms=True), (batch[0] * 3 + 5, batch[1]))
    assert measured_now["batches"] == (0.0,)
    assert batch_statistics(normalisation=measured_now).level is Level.INFO
