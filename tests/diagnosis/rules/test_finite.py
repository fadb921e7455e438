"""V0: the first cause is named, and a mask's infinities accuse nobody."""

import math
from collections.abc import Sequence

import pytest

from skipwise.analysis import Measurement
from skipwise.diagnosis import Level
from skipwise.diagnosis.rules import finite
from tests.diagnosis.rules.made import measured

NONE = (0.0, 0.0)


def made(
    *,
    nan: Sequence[float] = NONE,
    infinite: Sequence[float] = NONE,
    weights: Sequence[float] = NONE,
    gradient: Sequence[float] = NONE,
    loss: float = 1.0,
    inputs: float = 0.0,
    targets: float = 0.0,
) -> Measurement:
    columns = {
        "NaN in output": nan,
        "infinite in output": infinite,
        "bad in weights": weights,
        "bad in gradient": gradient,
    }
    figures = {
        "bad in inputs": inputs,
        "bad in targets": targets,
        "loss": loss,
        "loss is finite": float(math.isfinite(loss)),
    }
    return measured(("first", "second"), columns, figures=figures)


def test_all_finite_passes():
    found = finite(finiteness=made(), loss=1.0)
    assert found.level is Level.PASS
    assert found.cure == ""


@pytest.mark.parametrize(
    ("bad", "says", "where"),
    [
        ({"inputs": 0.1, "weights": (0.1, 0)}, "inputs of the batch", ()),
        ({"targets": 0.1, "loss": math.nan}, "targets of the batch", ()),
        ({"weights": (0, 0.1), "nan": (1, 1), "loss": math.nan}, "Weights", ("second",)),
        ({"infinite": (0.1, 0), "nan": (0, 1), "loss": math.nan}, "first gives inf", None),
        ({"nan": (0, 1), "loss": math.nan}, "second gives NaN", ("second",)),
        ({"nan": (0, 1), "gradient": (0.1, 0)}, "second gives NaN", ("second",)),
        ({"loss": math.inf}, "loss is inf", ()),
        ({"gradient": (1, 1)}, "from second back", ("second", "first")),
    ],
)
def test_the_first_cause_is_named(bad: dict, says: str, where: tuple[str, ...] | None):
    found = finite(finiteness=made(**bad))
    assert found.level is Level.FAIL
    assert says in found.says
    assert found.where == (("first", "second") if where is None else where)
    assert found.cure


def test_infinities_that_reach_nothing_are_a_warning():
    assert finite(finiteness=made(infinite=(0.5, 0))).level is Level.WARN


def test_a_training_that_diverged_is_accused_though_its_weights_are_finite():
    for loss in (math.nan, math.inf):
        assert finite(finiteness=made(), loss=loss).level is Level.FAIL
        assert finite(loss=loss).level is Level.FAIL


@pytest.mark.parametrize(
    ("refused", "level"), [(0, Level.PASS), (1, Level.INFO), (3, Level.INFO), (4, Level.FAIL)]
)
def test_a_scaler_may_refuse_three_steps_in_a_row(refused: int, level: Level):
    assert finite(finiteness=made(), refused=refused).level is level


def test_a_finite_loss_alone_is_no_proof():
    assert finite(loss=1.0).level is Level.UNKNOWN
    assert finite().level is Level.UNKNOWN


def test_refused_steps_harm_nothing_if_the_training_went_on_after_them():
    found = finite(finiteness=made(), refused=5, recovered=True)
    assert found.level is Level.WARN
    assert "went on after them" in found.says
