"""V7: the gradient's depth is held against the design's, and judged only after training."""

import math

import pytest

from skipwise.analysis import effective_depth, nearest_design, short
from skipwise.connections import Additive
from skipwise.diagnosis import Level
from skipwise.diagnosis.rules import unused_depth
from tests.analysis.models import along
from tests.diagnosis.rules.made import measured
from tests.diagnosis.rules.networks import noise, residual, signal_along


@pytest.mark.parametrize(
    ("effective", "ignored", "trained", "level"),
    [
        (0.99, 6, True, Level.WARN),
        (1.01, 6, True, Level.PASS),
        (0.99, 5, True, Level.INFO),
        (0.99, 6, False, Level.INFO),
        (0.99, None, True, Level.INFO),
    ],
)
def test_a_warning_needs_less_than_a_block_most_of_them_ignored_and_training(
    effective: float, ignored: int | None, trained: bool, level: Level
):
    verdict = unused_depth(effective=effective, blocks=10, ignored=ignored, trained=trained)
    assert verdict.level is level
    assert bool(verdict.cure) == (level is Level.WARN)


@pytest.mark.parametrize(
    ("design", "depth"),
    [
        ("residual, unscaled", 4.5),
        ("residual, 1/√L", 0.9),
        ("residual, 1/L", 9 / 82),
        ("residual, BatchNorm", 2.260),
        ("residual, identity", 0.0),
        ("plain, He", 9.0),
    ],
)
def test_the_start_is_compared_with_the_closed_form_of_its_design(design: str, depth: float):
    found = unused_depth(effective=depth, blocks=9, design=design, trained=False)
    assert found.level is Level.PASS
    assert found.numbers["effective depth of the design"] == pytest.approx(depth, abs=5e-4)
    other = unused_depth(effective=2.01 * depth + 0.1, blocks=9, design=design, trained=False)
    assert other.level is Level.INFO
    assert f"more than the {short(depth)} of the design" in other.says
    assert design in other.says


def test_fewer_branches_than_the_design_are_told_as_a_shallower_start():
    found = unused_depth(effective=1.0, blocks=9, design="residual, unscaled", trained=False)
    assert "fewer than the 4.5" in found.says
    assert "shallower" in found.says


def test_an_unknown_design_is_no_reference():
    assert unused_depth(effective=2.0, blocks=9, design="none").level is Level.INFO
    assert unused_depth().level is Level.UNKNOWN
    assert unused_depth(effective=math.nan, blocks=9).level is Level.UNKNOWN


@pytest.mark.parametrize(("last", "level"), [(0.755, Level.INFO), (0.76, Level.PASS)])
def test_probes_that_gain_nothing_are_worth_a_line(last: float, level: Level):
    accuracy = [0.3, 0.5, 0.6, 0.7, 0.7, last]
    columns = {"accuracy": accuracy, "standard error": [0.02] * 6}
    probes = measured([f"block {n}" for n in range(6)], columns)
    found = unused_depth(effective=3.0, blocks=6, probes=probes, trained=True)
    assert found.level is level
    assert ("block 3" in found.says) == (level is Level.INFO)


@pytest.mark.parametrize("connection", [Additive(), Additive(scale=1 / 3)], ids=["1", "1/√L"])
@pytest.mark.parametrize("seed", range(3))
def test_real_networks_pass_as_many_branches_as_their_design(connection: Additive, seed: int):
    model = residual(9, seed, connection, width=128)
    design = nearest_design(signal_along(model, seed, width=128))
    batch = noise(seed, 16, 128), noise(seed + 1, 16, 128)
    found = unused_depth(
        effective=effective_depth(model, batch, along), blocks=9, design=design, trained=False
    )
    assert found.level is Level.PASS
    assert found.numbers["effective depth"] == pytest.approx(
        found.numbers["effective depth of the design"], rel=0.25
    )
