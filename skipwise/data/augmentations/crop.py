"""Crops: a window of the picture at a place of its own for each."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from skipwise.data.augmentations.augmentation import Augmentation, Draw

BORDERS = ("zeros", "reflect")


@dataclass(frozen=True, kw_only=True)
class PadCrop(Augmentation):
    """Pad every side and cut out a window of the old size.

    Args:
        padding: Pixels on each side.
        border: ``"zeros"`` (black), as in He et al. (2015), section 4.2, or ``"reflect"``.
    """

    padding: int = 4
    border: str = "zeros"

    def __post_init__(self):
        if self.padding < 1:
            raise ValueError(
                f"padding must be positive, got {self.padding}; to crop nothing, leave PadCrop out"
            )
        if self.border not in BORDERS:
            raise ValueError(f"border must be one of {', '.join(BORDERS)}, got {self.border!r}")

    def apply(self, pictures: Tensor, draw: Draw) -> Tensor:
        """Shift each picture by up to ``padding`` in each direction."""
        places = 2 * self.padding + 1
        down, right = ((draw.uniform(n) * places).long() for n in range(2))
        sides = (self.padding,) * 4
        padded = pad(pictures, sides) if self.border == "zeros" else _mirrored(pictures, sides)
        windows = padded.unfold(2, pictures.shape[2], 1).unfold(3, pictures.shape[3], 1)
        return windows[torch.arange(len(pictures), device=pictures.device), :, down, right]


def _mirrored(pictures: Tensor, sides: tuple[int, ...]) -> Tensor:
    if max(sides) >= min(pictures.shape[2:]):
        raise ValueError(
            f"PadCrop cannot mirror {max(sides)} pixels of a picture of"
            f" {pictures.shape[2]}×{pictures.shape[3]}; set a smaller padding"
        )
    return pad(pictures.float(), sides, mode="reflect").to(pictures.dtype)


@dataclass(frozen=True, kw_only=True)
class RandomResizedCrop(Augmentation):
    """Cut out a box of random area and shape, and resize it to the old size (bilinear).

    Args:
        smallest: Least area of the box, as a share of the picture.
        stretch: Greatest ratio of width to height, and of height to width, of the box in pixels.

    Source: Szegedy et al. (2015), "Going deeper with convolutions", section 6; the ranges are
    torchvision's. Differs: a side that is too long is cut to the picture's, not drawn again.
    """

    smallest: float = 0.08
    stretch: float = 4 / 3

    def __post_init__(self):
        if not 0 < self.smallest <= 1:
            raise ValueError(f"smallest is a share of the area, in (0, 1], got {self.smallest}")
        if self.stretch < 1:
            raise ValueError(f"stretch must be at least 1, got {self.stretch}")

    def boxes(self, height: int, width: int, draw: Draw) -> Tensor:
        """Give top, left, height and width of each box as shares of the picture, (batch, 4)."""
        area = self.smallest + (1 - self.smallest) * draw.uniform(4)
        ratio = torch.exp((2 * draw.uniform(5) - 1) * math.log(self.stretch))
        tall = (area * width / height / ratio).sqrt().clamp(max=1)
        wide = (area * height / width * ratio).sqrt().clamp(max=1)
        top, left = (1 - tall) * draw.uniform(6), (1 - wide) * draw.uniform(7)
        return torch.stack([top, left, tall, wide], dim=1)

    def apply(self, pictures: Tensor, draw: Draw) -> Tensor:
        """Cut out and resize."""
        top, left, tall, wide = self.boxes(pictures.shape[2], pictures.shape[3], draw).unbind(1)
        zero = torch.zeros_like(top)
        # grid_sample measures from -1 to 1: a box's middle m (0 … 1) lies at 2m - 1.
        across = torch.stack([wide, zero, 2 * left + wide - 1], dim=1)
        along = torch.stack([zero, tall, 2 * top + tall - 1], dim=1)
        grid = affine_grid(
            torch.stack([across, along], dim=1), list(pictures.shape), align_corners=False
        )
        cut = grid_sample(
            pictures.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        return cut if pictures.is_floating_point() else cut.round().to(pictures.dtype)
