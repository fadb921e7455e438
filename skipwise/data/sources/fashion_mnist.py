"""Fashion-MNIST: 60,000 and 10,000 grey 28×28 pictures, from Debian's package or by download."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from skipwise.data.assembly import Shares, assemble
from skipwise.data.cached import cached
from skipwise.data.dataset import Data, Dataset

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FashionMNIST(Data):
    """Ten kinds of clothing; the test part is the official one.

    Args:
        validation: Share of the training part on which choices are made.
        split_seed: Fixed for a data set.

    Source: Xiao, Rasul, Vollgraf (2017), "Fashion-MNIST".
    """

    validation: float = 1 / 12
    split_seed: int = 0

    @property
    def name(self) -> str:
        """``fashion-mnist``."""
        return "fashion-mnist"

    def load(self) -> Dataset:
        """Read the files of Debian's package dataset-fashion-mnist, or let torchvision get them."""
        parts = _from_debian() if DEBIAN.is_dir() else _from_torchvision()
        shares = Shares(validation=self.validation, split_seed=self.split_seed)
        return assemble("fashion-mnist", parts, shares, classes=CLASSES)


def _from_debian() -> dict[str, tuple[Tensor, Tensor]]:
    def read(name: str, header: int) -> np.ndarray:
        with gzip.open(DEBIAN / name) as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)

    parts = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images = read(f"{prefix}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
        labels = read(f"{prefix}-labels-idx1-ubyte.gz", 8).astype(np.int64)
        parts[part] = (torch.from_numpy(images.copy()), torch.from_numpy(labels))
    return parts


def _from_torchvision() -> dict[str, tuple[Tensor, Tensor]]:
    from torchvision.datasets import FashionMNIST as Stored

    otherwise = "on Debian: apt-get install dataset-fashion-mnist"
    found = cached(Stored, "fashion-mnist", otherwise=otherwise)
    return {part: (stored.data[:, None], stored.targets) for part, stored in found.items()}
