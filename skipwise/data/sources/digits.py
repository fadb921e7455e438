"""scikit-learn's digits: 1,797 pictures of 8×8 pixels, in the package; nothing is downloaded."""

from dataclasses import dataclass, field

import numpy as np
import torch

from skipwise.data.assembly import Shares, assemble
from skipwise.data.dataset import Data, Dataset


@dataclass(frozen=True, kw_only=True)
class Digits(Data):
    """Handwritten digits, 10 classes, 17 grey levels.

    Args:
        shares: 20 % test and 10 % of the rest validation, fixed by the split seed.

    Source: Alpaydin, Kaynak (1998), "Optical recognition of handwritten digits", UCI; the copy in
    scikit-learn.
    """

    shares: Shares = field(default_factory=Shares)

    @property
    def name(self) -> str:
        """``digits``."""
        return "digits"

    def load(self) -> Dataset:
        """Read them from scikit-learn, with the 17 levels spread over uint8."""
        from sklearn.datasets import load_digits

        levels, labels = load_digits(return_X_y=True)
        images = np.round(levels.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
        targets = labels.astype(np.int64)
        parts = {"train": (torch.from_numpy(images), torch.from_numpy(targets))}
        return assemble("digits", parts, self.shares, classes=tuple("0123456789"), flip=False)
