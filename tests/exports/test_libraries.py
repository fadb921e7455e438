"""What a file of tensors alone does not hold is said beside it, and is true of its network."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import skipwise
from skipwise.connections import Projected
from skipwise.data import Arrays, Dataset
from skipwise.exports import export_weights
from skipwise.networks import NetworkDescription
from skipwise.weights import card_of, save_weights

PICTURES = np.random.default_rng(0).integers(0, 256, (60, 3, 8, 8), dtype=np.uint8)
SMALL = replace(skipwise.resnet20(), blocks=(1, 1, 1), width=4, shortcut=Projected())


def weights_of(network: NetworkDescription, data: Dataset) -> Path:
    """The file that a run on these data begins with, which says what the file of its best does."""
    told = {"task": data.task, "classes": data.classes, "preprocessing": data.preprocessing}
    card = card_of(network, data.ends, data=data.name, **told)
    path = Path(f"{network.name}.safetensors")
    save_weights(path, network.build(data.ends).state_dict(), card)
    return path


def test_the_numbers_of_a_regression_become_the_targets_as_is_said():
    y = 50 + 3 * np.random.default_rng(1).normal(size=60)
    np.savez("y.npz", x=PICTURES, y=y.astype(np.float32))
    data = Arrays(path="y.npz").load()
    done = export_weights(weights_of(SMALL, data), "m.pth")
    found = re.fullmatch(r"numbers that, times (\S+) plus (\S+), are the targets", done.outputs)
    assert found is not None
    seen = data.train.gather(torch.arange(len(data.train)))[1].double()
    assert float(found[1]) == pytest.approx(float(seen.std(correction=0)), rel=1e-2)
    assert float(found[2]) == pytest.approx(float(seen.mean()), rel=1e-3)
    assert f"it gives {done.outputs}" in str(done)


def test_a_stem_for_small_pictures_is_told_of_where_the_library_has_another():
    np.savez("x.npz", x=PICTURES, y=np.arange(60) % 3)
    data = Arrays(path="x.npz").load()
    four = replace(skipwise.resnet18(), blocks=(1, 1, 1, 1), width=4)
    (note,) = export_weights(weights_of(four, data), "m.pth", format="torchvision").notes
    assert note.startswith("its stem is a convolution without pooling, for small pictures")
    assert export_weights(weights_of(SMALL, data), "n.pth").notes == ()  # the same stem there
