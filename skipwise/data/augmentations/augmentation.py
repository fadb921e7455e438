"""The contract: an augmentation is a function of the pictures and of what was drawn for each.

It acts on a whole batch of raw pictures at once, and its noise follows the example: it is the same
however the batch is cut, and on every resume.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skipwise.data.placing import CPU, moved
from skipwise.randomness import uniform
from skipwise.shapes import Index, Uniforms

LANE = 1 << 20  # far from the lanes of the network's own noise


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What is known of the examples of a batch when they are changed.

    Args:
        keys: One random key per example and step.
        own: One key per example, the same all through the run.
        passes: How often each example was seen before.
        progress: Share of the run that is over, in [0, 1].
        device: Where the pictures lie; what is drawn is drawn on the CPU, so that it is the same.
    """

    keys: Index
    own: Index
    passes: Index
    progress: float = 1.0
    device: torch.device = CPU

    def uniform(self, lane: int) -> Uniforms:
        """Draw one number in [0, 1) per example; lanes are independent."""
        return self.placed(uniform(self.keys, LANE + lane))

    def placed(self, numbers: Tensor) -> Tensor:
        """Bring what was computed on the CPU to where the pictures lie."""
        return moved(numbers, self.device)


class Augmentation(ABC):
    """The frozen choice of a change of single pictures.

    ``picture_by_picture`` says whether it calls a library for each, which is for the CPU, ``moves``
    whether what was at one place is then at another.
    """

    picture_by_picture: ClassVar[bool] = False
    moves: ClassVar[bool] = True

    @abstractmethod
    def apply(self, pictures: Tensor, draw: Draw) -> Tensor:
        """Give the changed pictures, shape ``(batch, channels, height, width)``, raw like these."""


class Mixing(ABC):
    """The frozen choice of a change that mixes examples, and their targets with them.

    It comes after every augmentation of single pictures. ``needs_pictures`` says whether it cuts
    in space.
    """

    needs_pictures: ClassVar[bool]

    @abstractmethod
    def mix(self, inputs: Tensor, targets: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Give mixed inputs and targets; targets are vectors, shares of the classes for example."""


def check_share(name: str, value: float) -> None:
    """Refuse a probability or share outside [0, 1].

    Raises:
        ValueError: If it is.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")
