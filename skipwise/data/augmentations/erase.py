"""Erasing: a part of each picture is hidden, so that no single part decides."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skipwise.data.augmentations.augmentation import Augmentation, Draw, check_share


@dataclass(frozen=True, kw_only=True)
class Cutout(Augmentation):
    """Blacken a square whose middle lies anywhere in the picture; it may hang over the edge.

    Args:
        side: Of the square, in pixels.

    Source: DeVries, Taylor (2017), "Improved regularization … with Cutout", section 3; 16 pixels
    for CIFAR-10.
    """

    moves: ClassVar[bool] = False

    side: int = 8

    def __post_init__(self):
        if self.side < 1:
            raise ValueError(f"side must be positive, got {self.side}; or leave Cutout out")

    def apply(self, pictures: Tensor, draw: Draw) -> Tensor:
        """Blacken one square each."""
        height, width = pictures.shape[2:]
        top = (draw.uniform(8) * height).long() - self.side // 2
        left = (draw.uniform(9) * width).long() - self.side // 2
        return pictures.masked_fill(
            boxes(pictures, top, left, top + self.side, left + self.side), 0
        )


@dataclass(frozen=True, kw_only=True)
class RandomErasing(Augmentation):
    """Blacken a box of random area and shape, wholly inside the picture.

    Args:
        probability: That a picture loses a box.
        smallest: Least area, as a share of the picture.
        largest: Greatest area.
        stretch: Greatest ratio of the sides.

    Source: Zhong et al. (2020), "Random erasing data augmentation", section 3.1. Differs: black,
    as torchvision's; a side that is too long is cut to the picture's.
    """

    moves: ClassVar[bool] = False

    probability: float = 0.1
    smallest: float = 0.02
    largest: float = 0.33
    stretch: float = 3.3

    def __post_init__(self):
        check_share("probability", self.probability)
        if not 0 < self.smallest <= self.largest <= 1:
            raise ValueError(
                "areas are shares with 0 < smallest <= largest <= 1, got"
                f" {self.smallest} and {self.largest}"
            )
        if self.stretch < 1:
            raise ValueError(f"stretch must be at least 1, got {self.stretch}")

    def apply(self, pictures: Tensor, draw: Draw) -> Tensor:
        """Blacken some."""
        height, width = pictures.shape[2:]
        area = self.smallest + (self.largest - self.smallest) * draw.uniform(10)
        ratio = torch.exp((2 * draw.uniform(11) - 1) * math.log(self.stretch))
        tall = (area * height * width / ratio).sqrt().round().clamp(1, height).long()
        wide = (area * height * width * ratio).sqrt().round().clamp(1, width).long()
        top = (draw.uniform(12) * (height - tall + 1)).long()
        left = (draw.uniform(13) * (width - wide + 1)).long()
        chosen = (draw.uniform(14) < self.probability).view(-1, 1, 1, 1)
        return pictures.masked_fill(boxes(pictures, top, left, top + tall, left + wide) & chosen, 0)


def boxes(pictures: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    """Mark the pixels of one box each, shape ``(batch, 1, height, width)``; ends are outside."""
    row, column = (torch.arange(side, device=pictures.device) for side in pictures.shape[2:])
    rows = (row >= top[:, None]) & (row < bottom[:, None])
    columns = (column >= left[:, None]) & (column < right[:, None])
    return rows[:, None, :, None] & columns[:, None, None, :]
