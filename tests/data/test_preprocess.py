"""Mean and deviation of the training rows, which are not copied for it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from skipwise.data import Arrays, InMemory, fit_preprocessing, imagenet_preprocessing


def test_mean_and_deviation_are_those_of_the_training_rows_and_no_row_is_copied(tmp_path: Path):
    noise = np.random.default_rng(0)
    x = noise.integers(0, 256, (300, 3, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(300) % 3)
    data = Arrays(path=str(tmp_path / "a.npz")).load()
    assert isinstance(data.train, InMemory)
    assert isinstance(data.test, InMemory)
    inputs, rows = data.train.sample(0)
    assert rows is not None
    assert inputs.data_ptr() == data.test.sample(0)[0].data_ptr()
    assert (len(inputs), len(rows)) == (300, len(data.train))
    pixels = x[rows.numpy()].astype(np.float64)
    assert data.preprocessing.mean == pytest.approx(pixels.mean((0, 2, 3)), abs=1e-9)
    assert data.preprocessing.std == pytest.approx(pixels.std((0, 2, 3)), abs=1e-9)


def test_rows_that_are_read_one_by_one_give_what_all_of_them_give():
    large = torch.from_numpy(np.random.default_rng(0).normal(3, 2, (5, 2, 1100, 1100)))
    rows = torch.tensor([4, 0, 3])
    assert fit_preprocessing(large, rows, size=(1100, 1100)) == fit_preprocessing(
        large[rows], size=(1100, 1100)
    )
    mean, std = large[rows].mean((0, 2, 3)), large[rows].std((0, 2, 3), correction=0)
    found = fit_preprocessing(large, rows)
    assert found.mean == pytest.approx(mean.tolist(), abs=1e-9)
    assert found.std == pytest.approx(std.tolist(), abs=1e-9)


@pytest.mark.parametrize("halves", [False, True])
def test_networks_of_others_read_what_timm_gives_them(halves: bool):
    from timm.data import constants as timm

    mean, std = (
        (timm.IMAGENET_INCEPTION_MEAN, timm.IMAGENET_INCEPTION_STD)
        if halves
        else (timm.IMAGENET_DEFAULT_MEAN, timm.IMAGENET_DEFAULT_STD)
    )
    x = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    theirs = (x / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    found = imagenet_preprocessing((4, 4), halves=halves)(x)
    torch.testing.assert_close(found, theirs, rtol=1e-5, atol=1e-5)
