"""Resizing inside an exported network against Pillow itself."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from skipwise.exports import Fit


def both(seed: int, *, tall: bool) -> np.ndarray:
    """Resize a random picture to a random size here and with Pillow; give the differences."""
    noise = np.random.default_rng(seed)
    height, width = sorted(noise.integers(3, 200, 2), reverse=tall)
    rows, columns = (int(n) for n in sorted(noise.integers(1, 120, 2), reverse=not tall))
    pixels = noise.integers(0, 256, (height, width, 3), dtype=np.uint8)
    theirs = ImageOps.fit(Image.fromarray(pixels), (columns, rows), Image.Resampling.BILINEAR)
    ours = Fit((rows, columns))(torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()))
    return ours[0].permute(1, 2, 0).numpy() - np.asarray(theirs)


@pytest.mark.parametrize("seed", range(12))
def test_the_pixels_are_pillows_bit_for_bit(seed: int):
    assert not both(seed, tall=False).any()


@pytest.mark.parametrize("seed", range(12))
def test_where_pillow_may_shrink_the_height_first_a_pixel_differs_by_one_at_most(seed: int):
    assert np.abs(both(seed, tall=True)).max() <= 1
