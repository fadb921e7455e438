"""What a file of tensors alone does not hold is said beside it, and is true of its network."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import skipwise
from skipwise.connections import Projected
from skipwise.data import Arrays
from skipwise.exports import export_weights

ONE = {"steps": 1, "batch_size": 8, "quiet": True, "report": False}


def test_the_numbers_of_a_regression_become_the_targets_as_is_said():
    noise = np.random.default_rng(0)
    x = noise.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8)
    np.savez("y.npz", x=x, y=(50 + 3 * noise.normal(size=60)).astype(np.float32))
    network = replace(skipwise.resnet20(), blocks=(1, 1, 1), width=4, shortcut=Projected())
    run = skipwise.train(Arrays(path="y.npz"), network, out="run", **ONE)
    done = export_weights(run, "m.pth")
    found = re.fullmatch(r"numbers that, times (\S+) plus (\S+), are the targets", done.outputs)
    assert found is not None
    train = Arrays(path="y.npz").load().train
    seen = train.gather(torch.arange(len(train)))[1].double()
    assert float(found[1]) == pytest.approx(float(seen.std(correction=0)), rel=1e-2)
    assert float(found[2]) == pytest.approx(float(seen.mean()), rel=1e-3)
    assert f"it gives {done.outputs}" in str(done)


def test_a_stem_for_small_pictures_is_told_of_where_the_library_has_another():
    x = torch.randint(0, 256, (24, 3, 8, 8), dtype=torch.uint8).numpy()
    np.savez("x.npz", x=x, y=np.arange(24) % 3)
    small = replace(skipwise.resnet18(), blocks=(1, 1, 1, 1), width=4)
    four = skipwise.train(Arrays(path="x.npz"), small, out="four", **ONE)
    (note,) = export_weights(four, "m.pth", format="torchvision").notes
    assert note.startswith("its stem is a convolution without pooling, for small pictures")
    three = replace(skipwise.resnet20(), blocks=(1, 1, 1), width=4, shortcut=Projected())
    cifar = skipwise.train(Arrays(path="x.npz"), three, out="three", **ONE)
    assert export_weights(cifar, "n.pth").notes == ()  # whose networks have the same stem
