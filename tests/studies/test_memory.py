"""What an arm needs is known before it is built."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from skipwise.studies.rehearsal import rehearse
from skipwise.studies.rehearsal.memory import check_memory, size_of
from skipwise.training import free_memory
from tests.studies.small import NETWORK, small_study


def test_an_arm_that_is_too_large_is_refused_before_it_is_built(tmp_path: Path):
    study, dataset = small_study(tmp_path)
    free = free_memory()
    assert free is not None
    # Two 3×3 convolutions of all channels, a weight and its gradient of 4 bytes each; of a batch of
    # one example the rest is less than a hundredth.
    width = math.isqrt(2 * free // 144)
    experiment = replace(study.experiment, network=replace(NETWORK, width=width), batch_size=1)
    with pytest.raises(ValueError, match="smaller --batch-size, or --set parts=2") as told:
        rehearse(experiment, dataset)
    needs = re.search(r"about ([\d,.]+) GB of memory, ([\d,.]+) GB are free", str(told.value))
    assert needs is not None
    assert float(needs[1].replace(",", "")) == pytest.approx(
        144 * width**2 / 1e9, rel=0.01, abs=0.06
    )


def test_what_a_batch_keeps_counts_by_its_examples(tmp_path: Path):
    study, dataset = small_study(tmp_path)
    experiment = replace(study.experiment, network=replace(NETWORK, width=256), precision="float32")
    size, free = size_of(experiment, dataset), free_memory()
    assert size is not None
    assert free is not None
    check_memory(experiment, dataset, size)
    size.rows[0].memory_bytes = free // 16  # of 32 examples
    with pytest.raises(ValueError, match="a step needs about"):
        check_memory(experiment, dataset, size)
    check_memory(replace(experiment, parts=4), dataset, size)


def test_a_module_that_does_not_run_without_numbers_is_not_measured(tmp_path: Path):
    class Counting(nn.Module):
        def forward(self, x):
            return x.flatten(1) * x.sum().item()

    study, dataset = small_study(tmp_path)
    assert size_of(study.experiment, dataset, Counting()) is None
