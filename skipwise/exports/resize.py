"""Pillow's resizing as operations on tensors, so that it can stand inside an exported network.

``predict`` crops the middle of a picture to the shape that the network reads and resizes it with
``ImageOps.fit`` and the triangle filter, which is widened where the picture shrinks
(antialiasing). Pillow computes this with whole numbers: weights are rounded to multiples of 2⁻²²,
and the result of each of its two passes to uint8. In float64 all of it is exact, so the pixels
here are Pillow's own, bit for bit. From 13 on it begins with the height where that shrinks by more
than twice as many pixels as the width; the order of the installed one is taken.
"""

import PIL
import torch
from torch import Tensor, nn

PRECISION = float(1 << 22)  # one, in Pillow's fixed-point weights
CHOOSES = int(PIL.__version__.split(".")[0]) >= 13  # earlier ones begin with the width always


class Fit(nn.Module):
    """Crop the middle of pictures and resize it, as ``ImageOps.fit`` does.

    Two products of matrices stand for Pillow's two passes. They also multiply the zeros of the
    weights, which Pillow leaves out, so large pictures take longer here.

    Args:
        size: Height and width of what is given.

    Source: ``precompute_coeffs``, ``normalize_coeffs_8bpc`` and ``ImagingResampleInner`` in
    Pillow's ``Resample.c``; the box is that of ``ImageOps.fit``.
    """

    def __init__(self, size: tuple[int, ...]):
        super().__init__()
        self.size = size

    def forward(self, pictures: Tensor) -> Tensor:
        """Resize pictures of any height and width.

        Args:
            pictures: Shape ``(batch, channels, height, width)``, whole numbers from 0 to 255.

        Returns:
            Shape ``(batch, channels, *size)``, float64, whole numbers from 0 to 255.
        """
        height, width = (torch.arange(n, dtype=torch.float64) for n in pictures.shape[2:])
        tall, wide = height[-1] + 1, width[-1] + 1
        ratio = self.size[1] / self.size[0]
        kept_height = torch.where(wide / tall < ratio, wide / ratio, tall)
        kept_width = torch.where(wide / tall > ratio, ratio * tall, wide)
        across = weights(width, (wide - kept_width) * 0.5, kept_width, self.size[1])
        down = weights(height, (tall - kept_height) * 0.5, kept_height, self.size[0])
        whole = pictures.double()
        if not CHOOSES:
            return _width_first(whole, across, down)
        shrinks = tall - self.size[0], wide - self.size[1]
        by_height = (shrinks[0] > 0) & (shrinks[0] > 2 * shrinks[1])
        return torch.cond(by_height, _height_first, _width_first, (whole, across, down))


def _width_first(pictures: Tensor, across: Tensor, down: Tensor) -> Tensor:
    return _rounded(down @ _rounded(pictures @ across.T))


def _height_first(pictures: Tensor, across: Tensor, down: Tensor) -> Tensor:
    return _rounded(_rounded(down @ pictures) @ across.T)


def weights(positions: Tensor, start: Tensor, length: Tensor, count: int) -> Tensor:
    """Give the weight of each position in each of ``count`` new ones, times 2²².

    Args:
        positions: 0, 1, … of the old pixels, shape ``(old,)``.
        start: Where the part that is kept begins.
        length: How long it is.
        count: Number of new pixels.

    Returns:
        Whole numbers, shape ``(count, old)``.
    """
    end = (start + length).float()  # the box crosses into Pillow's C as float32
    start = start.float()
    scale = (end - start).double() / count
    reach = scale.clamp(min=1.0)
    new = torch.arange(count, dtype=torch.float64)
    centre = start.double() + (new + 0.5) * scale
    distance = (positions - centre[:, None] + 0.5) * (1.0 / reach)
    triangle = (1.0 - distance.abs()).clamp(min=0.0)
    shares = triangle / triangle.sum(1, keepdim=True)
    return (shares * PRECISION + 0.5).floor()


def _rounded(sums: Tensor) -> Tensor:
    return ((sums + PRECISION / 2) / PRECISION).floor().clamp(0.0, 255.0)
