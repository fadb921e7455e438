"""Residual learning as an objective reaches the known solution.

The objective is min over F of 1/N Σ‖y − (F(x) + x)‖².
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

import skipwise
from skipwise.data import Shares
from skipwise.networks import FullyConvolutional, residual_convolutional, residual_linear
from skipwise.strategies import adam


def test_linear_residual_learning_reaches_least_squares(tmp_path: Path):
    noise = np.random.default_rng(0)
    x = noise.normal(size=(2000, 8))
    y = x + x @ noise.normal(size=(8, 8)).T + 0.5 + 0.3 * noise.normal(size=(2000, 8))
    np.savez(tmp_path / "gauss.npz", x=x, y=y)
    data = skipwise.Arrays(path=str(tmp_path / "gauss.npz"), shares=Shares(validation=0.0))
    train = data.load().train
    inputs, targets = (t.double().numpy() for t in train.gather(torch.arange(len(train))))
    design = np.c_[inputs, np.ones(len(train))]
    best = np.linalg.lstsq(design, targets - inputs, rcond=None)[0].T
    run = skipwise.train(
        data,
        residual_linear(),
        replace(adam(), peak_lr=0.05),
        epochs=600,
        batch_size=2000,
        out=str(tmp_path / "run"),
    )
    found = skipwise.load(run).model.get_submodule("branch")
    assert isinstance(found, nn.Linear)
    w = np.c_[found.weight.detach().numpy(), found.bias.detach().numpy()]
    assert np.linalg.norm(w - best) / np.linalg.norm(best) <= 1e-3
    assert run.test is not None
    assert abs(run.test.metrics["loss"] / (8 * 0.3**2) - 1) < 0.2  # what is left is the noise


def test_images_of_equal_shape_learn_what_to_add(tmp_path: Path):
    noise = np.random.default_rng(0)
    clean = noise.integers(60, 190, (64, 1, 1, 1)) * np.ones((1, 1, 8, 8))
    noisy = (clean + noise.normal(0, 20, clean.shape)).clip(0, 255).astype(np.uint8)
    np.savez(tmp_path / "pictures.npz", x=noisy, y=clean.astype(np.uint8))
    inner = residual_convolutional().inner
    assert isinstance(inner, FullyConvolutional)
    run = skipwise.train(
        str(tmp_path / "pictures.npz"),
        replace(residual_convolutional(), inner=replace(inner, width=8, blocks=1)),
        adam(),
        epochs=60,
        batch_size=16,
        out=str(tmp_path / "run"),
    )
    assert run.test is not None
    identity = 64 * (20 / 255) ** 2  # the loss of F = 0
    assert run.test.metrics["loss"] < 0.5 * identity
