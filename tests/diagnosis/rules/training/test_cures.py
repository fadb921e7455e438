"""Every setting and option that a cure names is there to be set."""

import inspect
import re
from pathlib import Path

import pytest

import skipwise.diagnosis.rules.training as rules
from skipwise.cli.composing import Common
from skipwise.cli.training import train
from skipwise.cli.tuning import find_rate
from skipwise.cli.words import apply_settings
from skipwise.data import Digits, find_augmentation
from skipwise.experiment import Experiment
from skipwise.networks import resnet20
from skipwise.strategies import nesterov

SOURCES = [path.read_text() for path in Path(inspect.getfile(rules)).parent.glob("*.py")]
TEXT = re.sub(r'"\s*\n\s*f?"', "", "\n".join(SOURCES))  # words cut at the end of a line
SETTINGS = sorted(set(re.findall(r"--set (\S+=[^\s,;)\"]+)", TEXT)))


def test_settings_are_found():
    assert len(SETTINGS) >= 8


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_is_there(setting: str):
    experiment = Experiment(data=Digits(), network=resnet20(), strategy=nesterov(), epochs=1)
    assert apply_settings(experiment, [setting]) is not None


def test_options_and_commands_are_there():
    options = set(re.findall(r"--([a-z-]+)", TEXT)) - {"set"}
    assert options == {"batch-size", "augment", "patience"}
    known = {*inspect.signature(train).parameters, *inspect.signature(Common).parameters}
    assert {option.replace("-", "_") for option in options} <= known
    words = re.findall(r"--augment ([a-z,-]+)", TEXT)
    assert words
    assert all(find_augmentation(word) for word in words)
    assert "data" in inspect.signature(find_rate).parameters
