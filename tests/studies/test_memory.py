"""What an arm needs is known before it is built."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from skipwise.connections import Padded
from skipwise.experiment import build, compose
from skipwise.networks import resnet20
from skipwise.shapes import Ends
from skipwise.studies.rehearsal import rehearse
from skipwise.studies.rehearsal.memory import size_of
from skipwise.training import free_memory
from skipwise.training.policies.fitting import kept_of_one
from skipwise.weights import save_as
from tests.studies.small import NETWORK, small_study


def test_an_arm_that_is_too_large_is_refused_before_it_is_built(tmp_path: Path):
    study, dataset = small_study(tmp_path)
    free = free_memory()
    assert free is not None
    # Two 3×3 convolutions of all channels, a weight and its gradient of 4 bytes each; of a batch of
    # one example the rest is less than a hundredth.
    width = math.isqrt(2 * free // 144)
    experiment = replace(study.experiment, network=replace(NETWORK, width=width), batch_size=1)
    with pytest.raises(ValueError, match="take a smaller network") as told:
        rehearse(experiment, dataset)
    needs = re.search(r"about ([\d,.]+) GB of memory, ([\d,.]+) GB are free", str(told.value))
    assert needs is not None
    assert float(needs[1].replace(",", "")) == pytest.approx(
        144 * width**2 / 1e9, rel=0.01, abs=0.06
    )


def test_an_arm_whose_step_is_too_large_is_refused_and_with_frozen_parts_it_is_not(
    tmp_path: Path, monkeypatch
):
    study, dataset = small_study(tmp_path)
    whole = replace(study.experiment, precision="float32")
    need = 32 * kept_of_one(build(whole, dataset)[0], dataset.ends.inputs)
    monkeypatch.setattr("skipwise.training.policies.fitting._told", lambda *_: need // 4)
    with pytest.raises(ValueError, match="a step needs more than"):
        rehearse(whole, dataset)
    assert rehearse(replace(whole, parts=2), dataset).macs > 0
    assert rehearse(replace(whole, freeze="trunk"), dataset).macs > 0


def test_grey_pictures_are_rehearsed_in_a_network_of_colours(tmp_path: Path):
    noise = np.random.default_rng(0)
    x = noise.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "grey.npz", x=x, y=np.arange(60) % 3)
    network = replace(resnet20(), shortcut=Padded(side="both"))
    save_as(tmp_path / "c.pth", network.build(Ends(inputs=(3, 8, 8), outputs=(10,))), "cifar")
    grey = str(tmp_path / "grey.npz")
    experiment, dataset = compose(grey, weights=str(tmp_path / "c.pth"), steps=2)
    assert dataset.ends.inputs == (1, 8, 8)
    assert rehearse(experiment, dataset).macs > 0


def test_a_module_that_does_not_run_without_numbers_is_not_measured(tmp_path: Path):
    class Counting(nn.Module):
        def forward(self, x):
            return x.flatten(1) * x.sum().item()

    study, dataset = small_study(tmp_path)
    assert size_of(study.experiment, dataset, Counting()) is None
