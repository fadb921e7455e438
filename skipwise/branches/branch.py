"""The contract: what is computed off the stream, ``x → F(x)``.

A branch is any module. Its description also says what must stand before it (pre-activation) and
after the sum (the original order), because the two orders differ in nothing else.
"""

from abc import ABC, abstractmethod
from typing import final

from torch import nn

from skipwise.shapes import Place, Stream


class Branch(ABC):
    """The frozen choice of a branch; its block is ``expansion`` times as wide as its stage."""

    expansion: int = 1

    @abstractmethod
    def build(self, place: Place) -> nn.Module:
        """Make F for one place."""

    @abstractmethod
    def before(self, place: Place) -> nn.Module | None:
        """Make what the connection applies to the stream before F reads it, or None."""

    @abstractmethod
    def after(self) -> nn.Module | None:
        """Make the activation after the sum, or None."""


@final
class Zero(nn.Module):
    """The branch that a lesion leaves: zeros of the shape that F would have given.

    Args:
        place: Width and stride.
    """

    def __init__(self, place: Place):
        super().__init__()
        self.width, self.stride = place.width_out, place.stride

    def forward(self, x: Stream) -> Stream:
        """Give zeros."""
        space = (-(-size // self.stride) for size in x.shape[2:])
        return x.new_zeros((x.shape[0], self.width, *space))
