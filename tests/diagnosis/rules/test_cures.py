"""Every cure can be typed: the settings and names that verdicts give exist and fit."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import skipwise.networks
from skipwise.cli.words import apply_settings, find_network
from skipwise.connections import Additive
from skipwise.data import Digits
from skipwise.diagnosis import rules
from skipwise.diagnosis.cure import Cure
from skipwise.diagnosis.rules.blocks import cures
from skipwise.diagnosis.rules.blocks.collapse import SPREAD
from skipwise.diagnosis.rules.blocks.ignored import WAKE
from skipwise.diagnosis.rules.blocks.initialisation import CURE
from skipwise.diagnosis.rules.blocks.unused_depth import SHALLOWER
from skipwise.diagnosis.rules.finite import BACK, CLEAN, OVERFLOW, SINGULAR, TARGETS
from skipwise.experiment import Experiment
from skipwise.networks import resnet20
from skipwise.strategies import momentum
from tests.diagnosis.rules.made import PLAIN, SKIPS, curve, signal_of

EVERY = {
    "plain explodes": cures.exploding(signal_of([1.0, 1.0], figures=PLAIN)),
    "residual explodes": cures.exploding(signal_of([1.0, 1.0], figures=SKIPS)),
    "plain vanishes": cures.vanishing(signal_of([1.0, 1.0], figures=PLAIN)),
    "residual vanishes": cures.vanishing(signal_of([1.0, 1.0], figures=SKIPS)),
    "V0, weights": BACK,
    "V0, output": OVERFLOW,
    "V0, loss": TARGETS,
    "V0, data": CLEAN,
    "V0, gradient": SINGULAR,
    "V1, by a power": cures.WARM_UP,
    "V1, V8": cures.SKIP,
    "V6": WAKE,
    "V7": SHALLOWER,
    "V9": SPREAD,
    "V13": CURE,
}


@pytest.mark.parametrize("every", EVERY.values(), ids=EVERY)
def test_what_a_cure_says_can_be_typed(every: Cure):
    cure = every.run
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
    norm = cures.NORM.module
    assert norm not in cures.exploding(signal_of([1.0, 1.0], theories=[normed])).module
    assert norm not in cures.exploding(signal_of([1.0, 1.0]), normed=True).module
    assert norm in cures.exploding(signal_of([1.0, 1.0])).module
    plain = replace(normed, name="plain, BatchNorm–ReLU")
    cure = cures.exploding(signal_of([1.0, 1.0], theories=[plain], figures=PLAIN)).run
    assert cures.SKIP.run in cure
    assert cures.HE.run not in cure


TYPED = ("--", "strategy.", "network.", "find-rate", "skipwise train", ".ckpt", "plain20")


def of_rules() -> Iterator[tuple[str, Cure]]:
    """Every cure that stands in the file of a rule."""
    for found in pkgutil.walk_packages(rules.__path__, "skipwise.diagnosis.rules."):
        for name, value in vars(importlib.import_module(found.name)).items():
            if isinstance(value, Cure):
                yield f"{found.name} {name}", value


def test_no_cure_tells_a_plain_module_what_it_cannot_type():
    told = {**dict(of_rules()), **EVERY}
    assert len(told) > 30
    for name, cure in told.items():
        assert not [word for word in TYPED if word in cure.module], name
        assert not re.findall(r"--set network\.|--network", cure.own), name
        assert cure.run, name
        assert cure.own, name
        assert cure.module, name


def test_no_rule_says_a_cure_in_the_words_of_one_reader_only():
    sources = [path.read_text() for path in Path(rules.__path__[0]).rglob("*.py")]
    assert not [text for text in sources if re.search(r"\bcure=", text)]
