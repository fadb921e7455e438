"""Flips: the mirror image is as good an example."""

from dataclasses import dataclass

import torch
from torch import Tensor

from skipwise.data.augmentations.augmentation import LANE, Augmentation, Draw
from skipwise.randomness import uniform


@dataclass(frozen=True, kw_only=True)
class Flip(Augmentation):
    """Mirror each picture left to right with probability one half.

    Args:
        vertical: Also top to bottom, with a coin of its own: for pictures from above.
    """

    vertical: bool = False

    def apply(self, pictures: Tensor, draw: Draw) -> Tensor:
        """Mirror some."""
        pictures = _mirrored(pictures, draw.uniform(2) < 0.5, axis=3)
        return _mirrored(pictures, draw.uniform(3) < 0.5, axis=2) if self.vertical else pictures


@dataclass(frozen=True, kw_only=True)
class AlternatingFlip(Augmentation):
    """Mirror each picture left to right in every other pass, so that both are seen as often.

    In the first pass each picture is mirrored with probability one half.

    Source: Jordan (2024), "94 % on CIFAR-10 in 3.29 seconds on a single GPU", section 3.6.
    """

    def apply(self, pictures: Tensor, draw: Draw) -> Tensor:
        """Mirror those whose turn it is."""
        first = uniform(draw.own, LANE + 2) < 0.5
        return _mirrored(pictures, draw.placed(first ^ (draw.passes % 2 == 1)), axis=3)


@dataclass(frozen=True, kw_only=True)
class QuarterTurn(Augmentation):
    """Turn each picture by 0, 90, 180 or 270 degrees, each as likely: for pictures from above."""

    def apply(self, pictures: Tensor, draw: Draw) -> Tensor:
        """Turn them.

        Raises:
            ValueError: If the pictures are not square.
        """
        if pictures.shape[2] != pictures.shape[3]:
            raise ValueError(
                f"QuarterTurn needs square pictures, these are {pictures.shape[2]}×"
                f"{pictures.shape[3]}; bring them to one side length, or leave it out"
            )
        for turns, lane in ((1, 24), (2, 25)):
            chosen = (draw.uniform(lane) < 0.5).view(-1, 1, 1, 1)
            pictures = torch.where(chosen, torch.rot90(pictures, turns, (2, 3)), pictures)
        return pictures


def _mirrored(pictures: Tensor, chosen: Tensor, axis: int) -> Tensor:
    return torch.where(chosen.view(-1, 1, 1, 1), pictures.flip(axis), pictures)
