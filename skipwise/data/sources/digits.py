"""scikit-learn's digits: 1,797 pictures of 8×8 pixels, inside the package; nothing is downloaded."""

from dataclasses import dataclass

import numpy as np
import torch

from skipwise.data.assemble import Shares, assemble
from skipwise.data.dataset import Data, Dataset


@dataclass(frozen=True, kw_only=True)
class Digits(Data):
    """Handwritten digits, 10 classes, 17 grey levels.

    Args:
        shares: 20 % test and 10 % of the rest validation, fixed by the split seed.

    Source: Alpaydin, Kaynak (1998), "Optical recognition of handwritten digits", UCI; the copy in scikit-learn.
    """

    shares: Shares = Shares()

    @property
    def name(self) -> str:
        """``digits``."""
        return "digits"

    def load(self) -> Dataset:
        """Read them from scikit-learn, with the 17 levels spread over uint8."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = np.round(bunch["images"] * (255 / 16)).astype(np.uint8)
        parts = {"train": (torch.from_numpy(images)[:, None], torch.from_numpy(bunch["target"].astype(np.int64)))}
        return assemble("digits", parts, self.shares, classes=tuple("0123456789"), flip=False)
