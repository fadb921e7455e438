"""Augmentations of batches of pictures: functions of the pictures and one key per example."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from skipwise.randomness import uniform
from skipwise.shapes import Index

LANE = 1 << 20  # far from the lanes of the network's own noise


class Augmentation(ABC):
    """The frozen choice of an augmentation."""

    @abstractmethod
    def apply(self, pictures: Tensor, keys: Index) -> Tensor:
        """Give the changed pictures, shape ``(batch, channels, height, width)``."""


@dataclass(frozen=True, kw_only=True)
class PadCrop(Augmentation):
    """Pad every side and cut out a window of the old size, at a place of its own for each picture.

    Args:
        padding: Pixels on each side; zeros (black), as in He et al. (2015), section 4.2.
    """

    padding: int = 4

    def __post_init__(self):
        if self.padding < 1:
            raise ValueError(
                f"padding must be positive, got {self.padding}; to crop nothing, leave PadCrop out"
            )

    def apply(self, pictures: Tensor, keys: Index) -> Tensor:
        """Shift each picture by up to ``padding`` in each direction."""
        places = 2 * self.padding + 1
        down, right = ((uniform(keys, LANE + n) * places).long() for n in range(2))
        padded = pad(pictures, (self.padding,) * 4)
        windows = padded.unfold(2, pictures.shape[2], 1).unfold(3, pictures.shape[3], 1)
        return windows[torch.arange(len(pictures)), :, down, right]


@dataclass(frozen=True, kw_only=True)
class Flip(Augmentation):
    """Mirror each picture left to right with probability one half."""

    def apply(self, pictures: Tensor, keys: Index) -> Tensor:
        """Mirror some."""
        chosen = (uniform(keys, LANE + 2) < 0.5).view(-1, 1, 1, 1)
        return torch.where(chosen, pictures.flip(3), pictures)
