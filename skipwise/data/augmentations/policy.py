"""Policies: torchvision's TrivialAugment and RandAugment, drawn for each picture anew."""

from dataclasses import dataclass

import torch
from torch import Tensor

from skipwise.data.augmentations.augmentation import Augmentation, Draw
from skipwise.randomness import seeded_each


@dataclass(frozen=True, kw_only=True)
class TrivialAugment(Augmentation):
    """One operation on each picture, of random kind and strength (the wide range).

    Source: Müller, Hutter (2021), "TrivialAugment"; torchvision's ``TrivialAugmentWide``.
    """

    picture_by_picture = True

    def apply(self, pictures: Tensor, draw: Draw) -> Tensor:
        """Apply it picture by picture."""
        from torchvision.transforms.v2 import TrivialAugmentWide

        return _each(TrivialAugmentWide(), pictures, draw)


@dataclass(frozen=True, kw_only=True)
class RandAugment(Augmentation):
    """Several operations on each picture, of random kind and one strength.

    Args:
        operations: Their number.
        magnitude: Their strength, from 0 to 30.

    Source: Cubuk et al. (2020), "RandAugment"; torchvision's ``RandAugment``.
    """

    operations: int = 2
    magnitude: int = 9
    picture_by_picture = True

    def __post_init__(self):
        if self.operations < 1:
            raise ValueError(f"operations must be positive, got {self.operations}")
        if not 0 <= self.magnitude <= 30:
            raise ValueError(f"magnitude must lie in 0 … 30, got {self.magnitude}")

    def apply(self, pictures: Tensor, draw: Draw) -> Tensor:
        """Apply them picture by picture."""
        from torchvision.transforms.v2 import RandAugment as Policy

        return _each(Policy(self.operations, self.magnitude), pictures, draw)


def _each(policy: torch.nn.Module, pictures: Tensor, draw: Draw) -> Tensor:
    if pictures.dtype != torch.uint8:
        raise ValueError(
            "TrivialAugment and RandAugment change pictures of 8 bits, these are"
            f" {pictures.dtype}; give the data as uint8, or leave the policy out"
        )
    return torch.stack([policy(pictures[n]) for n in seeded_each(draw.keys)])
