"""V13: the design that a start is like is named, and a start like none is a warning."""

import math

import pytest
import torch
from torch import nn

from skipwise.connections import Additive
from skipwise.diagnosis import Level
from skipwise.diagnosis.rules import initialisation
from tests.diagnosis.rules.made import curve, signal_of
from tests.diagnosis.rules.networks import plain, residual, signal_along


def figures(distance: float) -> dict[str, float]:
    return {"distance to residual, unscaled": distance, "distance to residual, 1/√L": 3.0}


def test_a_design_is_near_within_a_factor_e():
    theories = [curve("second moment", [1.0, 1.0], 2)]
    near, far = (
        signal_of([1.0, 1.0], [1.0, 1.0], theories=theories, figures=figures(d)) for d in (1, 1.001)
    )
    assert initialisation(signal=near).level is Level.PASS
    assert "residual, unscaled" in initialisation(signal=near).says
    verdict = initialisation(signal=far)
    assert verdict.level is Level.WARN
    assert "initialise_he" in verdict.cure
    assert f"{math.exp(1.001):.4g}" in verdict.says


@pytest.mark.parametrize(("moment", "level"), [(1.99, Level.PASS), (2.01, Level.INFO)])
def test_leaving_the_band_is_worth_a_line(moment: float, level: Level):
    theories = [curve("second moment", [1.0, 1.0, 1.0], 2)]
    measured = signal_of([1.0] * 3, [1.0, moment, 1.0], theories=theories, figures=figures(0.5))
    assert initialisation(signal=measured, trained=False).level is level


@pytest.mark.parametrize(("moment", "way"), [(5.0, "above"), (0.2, "below")])
def test_the_side_on_which_the_band_is_left_is_named(moment: float, way: str):
    theories = [curve("second moment", [1.0, 1.0, 1.0], 2)]
    measured = signal_of([1.0] * 3, [1.0, moment, 0.9], theories=theories, figures=figures(0.5))
    assert f"its second moment is {way} what theory expects" in initialisation(signal=measured).says


def test_without_a_theory_only_the_name_is_given():
    unmet = curve("second moment", [1.0, 1.0], 2, holds=False)
    found = initialisation(signal=signal_of([1.0, 1.0], theories=[unmet], figures=figures(0.2)))
    assert found.level is Level.INFO


def test_what_cannot_be_read_is_unknown():
    assert initialisation().level is Level.UNKNOWN
    assert initialisation(signal=signal_of([1.0, 1.0]), trained=True).level is Level.UNKNOWN
    assert initialisation(signal=signal_of([1.0, 1.0], figures={})).level is Level.UNKNOWN


@pytest.mark.parametrize("moments", [(1.0, math.nan, 1.0), (1.0, math.inf, 1.0)])
def test_what_is_not_finite_is_within_no_band(moments: tuple[float, ...]):
    theories = [curve("second moment", [1.0, math.nan, 1.0], 2)]
    found = initialisation(signal=signal_of([1.0] * 3, moments, theories=theories))
    assert found.level is Level.UNKNOWN
    assert "not finite" in found.says


def test_a_theory_of_nothing_is_no_witness():
    nothing = curve("correlation", [math.nan] * 3, 2)
    found = initialisation(signal=signal_of([1.0] * 3, theories=[nothing]))
    assert (found.level, "no theory holds" in found.says) == (Level.INFO, True)


def silenced(factor: float, seed: int) -> nn.Module:
    """A plain network whose weights are far too small."""
    model = plain(12, seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(factor)
    return model


@pytest.mark.parametrize("seed", range(3))
def test_too_small_weights_are_found_and_hes_are_known(seed: int):
    assert initialisation(signal=signal_along(silenced(0.7, seed), seed)).level is Level.WARN
    found = initialisation(signal=signal_along(plain(12, seed, width=256), seed, width=256))
    assert found.level is not Level.WARN
    assert "plain, He" in found.says


@pytest.mark.parametrize(
    ("connection", "name"),
    [
        (Additive(), "residual, unscaled"),
        (Additive(scale=10**-0.5), "residual, 1/√L"),
        (Additive(scale=0.0, learned=True), "residual, identity"),
    ],
    ids=["unscaled", "scaled", "from zero"],
)
def test_the_designs_of_residual_networks_are_named(connection, name: str):
    found = initialisation(signal=signal_along(residual(10, 0, connection, 256), 0, width=256))
    assert name in found.says
    assert found.level is not Level.WARN
