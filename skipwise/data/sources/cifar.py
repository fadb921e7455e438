"""CIFAR-10 and CIFAR-100: 50,000 and 10,000 colour pictures of 32×32 pixels, by torchvision."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from skipwise.data.assembly import Shares, assemble
from skipwise.data.cached import cached
from skipwise.data.dataset import Data, Dataset


@final
@dataclass(frozen=True, kw_only=True)
class CIFAR(Data):
    """Small pictures of 10 or of 100 kinds of things; the test part is the official one.

    Args:
        classes: 10 or 100.
        validation: Share of the training part on which choices are made.
        split_seed: Fixed for a data set.

    Source: Krizhevsky (2009), "Learning multiple layers of features from tiny images".
    """

    classes: int = 10
    validation: float = 0.1
    split_seed: int = 0

    def __post_init__(self):
        if self.classes not in (10, 100):
            raise ValueError(f"there are CIFAR-10 and CIFAR-100, not {self.classes}")

    @property
    def name(self) -> str:
        """``cifar10`` or ``cifar100``."""
        return f"cifar{self.classes}"

    def load(self) -> Dataset:
        """Read torchvision's files below ``~/.cache/skipwise``; download and check them if absent.

        Raises:
            ValueError: If they are not there and cannot be downloaded, or are damaged.
        """
        from torchvision import datasets

        stored = datasets.CIFAR10 if self.classes == 10 else datasets.CIFAR100
        files = f"put torchvision's files there: {stored.url}"
        found = cached(stored, self.name, otherwise=files)
        parts = {part: as_part(those) for part, those in found.items()}
        shares = Shares(validation=self.validation, split_seed=self.split_seed)
        return assemble(self.name, parts, shares, classes=tuple(found["train"].classes))


def as_part(stored: Any) -> tuple[Tensor, Tensor]:
    """Turn torchvision's data set into pictures, channels first, and class indices."""
    pictures = torch.from_numpy(stored.data).permute(0, 3, 1, 2).contiguous()
    return pictures, torch.tensor(stored.targets, dtype=torch.long)
