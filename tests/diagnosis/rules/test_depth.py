"""V1: exploding and vanishing are accused, healthy growth and chance are not."""

import math

import pytest
import torch
from torch import nn

from skipwise.analysis import signal
from skipwise.connections import Additive
from skipwise.diagnosis import Level
from skipwise.diagnosis.rules import depth
from skipwise.networks import fixup20, plain20, preresnet20, resnet20
from tests.diagnosis.rules.made import PLAIN, SKIPS, curve, geometric, signal_of
from tests.diagnosis.rules.networks import of_pictures, pictures, plain, residual, signal_along


def level_of(*args, trained: bool | None = False, **options) -> Level:
    return depth(signal=signal_of(*args, **options), trained=trained).level


@pytest.mark.parametrize(
    ("ratio", "level"),
    [(70.0, Level.PASS), (70.1, Level.FAIL), (1.01e-3, Level.PASS), (0.99e-3, Level.FAIL)],
)
def test_the_limits_are_seventy_and_a_thousandth(ratio: float, level: Level):
    assert level_of(geometric(ratio * (1 - 1e-12), 10)) is level
    moments = [1 / value**2 for value in geometric(ratio * (1 - 1e-12), 10)]
    assert level_of([1.0] * 11, moments) is level


def test_a_power_of_the_depth_is_no_explosion():
    by_power = [100 * (row + 1) ** -2.0 for row in range(11)]
    assert level_of(by_power) is Level.INFO
    assert level_of([100.0, *[1.0] * 10]) is Level.WARN  # one block, and no law
    assert level_of([1 / value**2 for value in by_power]) is Level.WARN
    assert level_of(by_power, theories=[curve("gradient norm", by_power, 2)]) is Level.PASS


def test_a_theory_excuses_what_lies_within_its_band():
    grown = geometric(100, 10)
    flat = [1.0] * 11
    assert level_of(grown) is Level.FAIL
    assert level_of(grown, theories=[curve("gradient norm", flat, 101)]) is Level.PASS
    assert level_of(grown, theories=[curve("gradient norm", flat, 99)]) is Level.FAIL
    unmet = curve("gradient norm", flat, 101, holds=False)
    assert level_of(grown, theories=[unmet]) is Level.FAIL
    trained = level_of(grown, theories=[curve("gradient norm", flat, 101)], trained=True)
    assert trained is Level.FAIL


def test_a_design_that_explodes_by_theory_is_accused_within_its_band():
    grown = geometric(100, 10)
    assert level_of(grown, theories=[curve("gradient norm", grown, 2)]) is Level.FAIL
    verdict = depth(signal=signal_of(grown, theories=[curve("gradient norm", grown, 2)]))
    assert "as theory expects of this design" in verdict.says


def test_outside_the_band_alone_is_a_warning_and_only_before_training():
    theories = [curve("gradient norm", [1.0] * 11, 2)]
    inside, outside = geometric(1.99, 10), geometric(2.01, 10)
    assert level_of(inside, theories=theories) is Level.PASS
    assert level_of(outside, theories=theories) is Level.WARN
    assert level_of(outside, theories=theories, trained=True) is Level.PASS
    forward = [curve("second moment", [1.0] * 11, 2)]
    assert level_of([1.0] * 11, list(reversed(outside)), theories=forward) is Level.WARN


def test_bands_of_stages_add_up_as_their_squares_do():
    def level(*factors: float) -> Level:
        rows = [value for f in factors for value in (f, f**0.5, 1.0)]
        elements = [2**n for n in range(len(factors), 0, -1) for _ in range(3)]
        flat = curve("gradient norm", [1.0] * len(rows), 2)
        return level_of(rows, elements=elements, theories=[flat])

    assert (level(1.99), level(2.01)) == (Level.PASS, Level.WARN)
    edge = 2 ** (0.5**0.5)  # twice its logarithm is √2·log 2
    assert (level(edge * 0.99, edge * 0.99), level(edge, edge * 1.01)) == (Level.PASS, Level.WARN)
    assert (level(2.0, 0.5), level(1.0, 2.7)) == (Level.PASS, Level.WARN)


def test_stages_count_together_and_their_borders_not_at_all():
    stage = geometric(10, 5)
    fallen = [value * 1e-9 for value in stage]
    assert level_of([*stage, *fallen], elements=[64] * 6 + [32] * 6) is Level.FAIL
    verdict = depth(signal=signal_of([*stage, *fallen], elements=[64] * 6 + [32] * 6))
    assert verdict.numbers["gradient r"] == pytest.approx(100)
    assert verdict.numbers["blocks"] == 10


def test_branches_that_start_at_zero_are_by_design():
    silent = signal_of([1.0] * 6, [3.0] * 6)
    assert depth(signal=silent).level is Level.INFO
    assert depth(signal=signal_of([1.0] * 6, [3.0] * 6, figures=PLAIN)).level is Level.PASS
    heard = signal_of([1.0] * 6, [3.0] * 5 + [3.00001])
    assert depth(signal=heard).level is Level.PASS


def test_a_gradient_that_does_not_arrive():
    faded = depth(signal=signal_of([0, 0, 1e-40, 1e-20, 1.0], figures=PLAIN))
    assert faded.level is Level.FAIL
    assert faded.where == ("block 1",)
    stopped = depth(signal=signal_of([0, 0, 0.9, 1.0, 1.0], figures=PLAIN))
    assert stopped.level is Level.WARN
    assert "dead units" in stopped.says
    nothing = depth(signal=signal_of([0.0] * 5, figures=PLAIN))
    assert nothing.level is Level.UNKNOWN


def test_what_cannot_be_judged_is_unknown():
    assert depth().level is Level.UNKNOWN
    assert depth(signal=signal_of([1.0, math.inf, 1.0])).level is Level.UNKNOWN
    apart = signal_of([1.0, 1.0, 1.0], elements=[64, 32, 16])
    assert depth(signal=apart).level is Level.UNKNOWN


def test_the_worst_blocks_are_named():
    gradient = [512.0, 256.0, 4.0, 2.0, 1.0]
    assert depth(signal=signal_of(gradient)).where[0] == "block 1"


SEEDS = range(3)


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_half_as_large_again_explode_and_their_twin_does_not(seed: int):
    fault = depth(signal=signal_along(plain(20, seed, times=1.5), seed), trained=False)
    assert fault.level is Level.FAIL
    assert fault.numbers["gradient r by theory"] == pytest.approx(1.5**20, rel=0.2)
    assert "initialise_he" in fault.cure
    twin = depth(signal=signal_along(plain(20, seed), seed), trained=False)
    assert twin.level is not Level.FAIL


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sigmoid_of_twenty_layers_vanishes_and_relu_does_not(seed: int):
    fault = depth(signal=signal_along(plain(20, seed, activation=nn.Sigmoid), seed), trained=False)
    assert fault.level is Level.FAIL
    assert fault.numbers["gradient r"] < 1e-6
    assert "shrinks" in fault.says
    assert "ReLU" in fault.cure


@pytest.mark.parametrize("seed", SEEDS)
def test_thirty_unscaled_blocks_explode_and_scaled_ones_do_not(seed: int):
    fault = depth(signal=signal_along(residual(30, seed), seed), trained=False)
    assert fault.level is Level.FAIL
    assert fault.numbers["signal factor a block"] == pytest.approx(math.sqrt(2), rel=0.05)
    assert "scale_by_depth" in fault.cure
    for twin in (Additive(scale=30**-0.5), Additive(scale=0.0, learned=True)):
        model = residual(30, seed, twin)
        assert depth(signal=signal_along(model, seed), trained=False).level is not Level.FAIL


def test_plain_networks_with_batch_norm_explode_and_residual_ones_do_not():
    for seed in range(2):
        levels = {}
        for described in (plain20(), resnet20(), preresnet20()):
            model = of_pictures(described, seed, blocks=9, width=8)
            verdict = depth(signal=signal(model, pictures(seed)), trained=False)
            levels[described.name] = verdict.level
            if described.name == "plain20":
                assert "network.connection=Additive" in verdict.cure
        assert levels.pop("plain20") is Level.FAIL
        assert Level.FAIL not in levels.values()


def test_networks_that_start_as_the_identity_are_not_accused():
    fixed = of_pictures(fixup20(), 0, blocks=3, width=8)
    assert depth(signal=signal(fixed, pictures(0)), trained=False).level is Level.INFO
    zeroed = residual(30, 0, Additive(scale=0.0, learned=True))
    assert depth(signal=signal_along(zeroed, 0), trained=False).level is Level.INFO


def test_a_detached_stream_is_no_vanishing():
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList(plain(1, n)[0] for n in range(6))  # type: ignore[index]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for number, part in enumerate(self.parts):
                x = part(x.detach() if number == 3 else x)
            return x

    verdict = depth(signal=signal_along(Cut(), 0), trained=False)
    assert verdict.level is Level.WARN
    assert "detach" in verdict.says


def test_the_hand_made_figures_are_those_that_the_measurement_gives():
    found = signal_along(residual(3, 0), 0)
    assert set(SKIPS) <= set(found.figures)
    assert set(PLAIN) <= set(signal_along(plain(3, 0), 0).figures)
