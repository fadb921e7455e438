"""Resizing inside an exported network against Pillow itself."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from skipwise.exports import Fit


def both(seed: int, tall: bool) -> np.ndarray:
    """Resize a random picture to a random size here and with Pillow; give the differences."""
    noise = np.random.default_rng(seed)
    height, width = sorted(noise.integers(3, 200, 2), reverse=tall)
    rows, columns = (int(n) for n in sorted(noise.integers(1, 120, 2), reverse=not tall))
    pixels = noise.integers(0, 256, (height, width, 3), dtype=np.uint8)
    theirs = ImageOps.fit(Image.fromarray(pixels), (columns, rows), Image.Resampling.BILINEAR)
    ours = Fit((rows, columns))(torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()))
    return ours[0].permute(1, 2, 0).numpy() - np.asarray(theirs)


@pytest.mark.parametrize("tall", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_the_pixels_are_pillows_bit_for_bit(seed: int, tall: bool):
    assert not both(seed, tall).any()
