"""Every cure can be typed: the settings and names that verdicts give exist and fit."""

import re
from dataclasses import replace

import pytest

import skipwise.networks
from skipwise.cli.words import apply_settings, find_network
from skipwise.connections import Additive
from skipwise.data import Digits
from skipwise.diagnosis.rules import finite
from skipwise.diagnosis.rules.blocks import cures
from skipwise.diagnosis.rules.blocks.collapse import SPREAD
from skipwise.diagnosis.rules.blocks.ignored import WAKE
from skipwise.diagnosis.rules.blocks.initialisation import CURE
from skipwise.diagnosis.rules.blocks.unused_depth import SHALLOWER
from skipwise.experiment import Experiment
from skipwise.networks import resnet20
from skipwise.strategies import momentum
from tests.diagnosis.rules.made import PLAIN, SKIPS, curve, signal_of
from tests.diagnosis.rules.test_finite import made

EVERY = {
    "plain explodes": cures.exploding(signal_of([1.0, 1.0], figures=PLAIN)),
    "residual explodes": cures.exploding(signal_of([1.0, 1.0], figures=SKIPS)),
    "plain vanishes": cures.vanishing(signal_of([1.0, 1.0], figures=PLAIN)),
    "residual vanishes": cures.vanishing(signal_of([1.0, 1.0], figures=SKIPS)),
    "V0, weights": finite(finiteness=made(weights=[0, 0.5])).cure,
    "V0, output": finite(finiteness=made(nan=[0, 0.5], loss=float("nan"))).cure,
    "V0, gradient": finite(finiteness=made(gradient=[0, 0.5])).cure,
    "V6": WAKE,
    "V7": SHALLOWER,
    "V9": SPREAD,
    "V13": CURE,
}


@pytest.mark.parametrize("cure", EVERY.values(), ids=EVERY)
def test_what_a_cure_says_can_be_typed(cure: str):
    assert cure
    connection = Additive(scale=0.5)
    experiment = Experiment(
        data=Digits(),
        network=replace(resnet20(), connection=connection),
        strategy=momentum(),
        epochs=1,
    )
    for setting in re.findall(r"--set ([^\s;,)]+(?:,\d+[^\s;,)]*)*)", cure):
        assert apply_settings(experiment, [setting]) is not None
    for setting in re.findall(r"(?<!set )(?<!\w)strategy\.(\w+)", cure):
        assert setting in vars(momentum())
    for name in re.findall(r"--network (\w+)", cure):
        assert find_network(name)
    for name in re.findall(r"skipwise\.networks\.(\w+)", cure):
        assert name in skipwise.networks.__all__


def test_a_residual_network_with_norms_is_not_told_to_add_some():
    normed = replace(curve("gradient norm", [1.0, 1.0], 2), name="residual, BatchNorm")
    assert cures.NORM not in cures.exploding(signal_of([1.0, 1.0], theories=[normed]))
    assert cures.NORM in cures.exploding(signal_of([1.0, 1.0]))
    plain = replace(normed, name="plain, BatchNorm–ReLU")
    cure = cures.exploding(signal_of([1.0, 1.0], theories=[plain], figures=PLAIN))
    assert cures.SKIP in cure
    assert cures.HE not in cure
