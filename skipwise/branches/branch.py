"""The contract: what is computed off the stream, ``x → F(x)``.

A branch is any module. Its description also says what must stand before it (pre-activation), after
the sum (the original order) and at the two ends of the trunk, because the orders differ in nothing
else.
"""

from abc import ABC, abstractmethod
from typing import final

from torch import nn

from skipwise.layers import NormActivation
from skipwise.shapes import Place, Stream


class Branch(ABC):
    """The frozen choice of a branch; its block is ``expansion`` times as wide as its stage.

    ``preactivated`` branches have their activation before them, so that none ends the stem and one
    ends the trunk. Where ``starts_at_zero`` holds, the last layer of F starts at zero, and the
    classifier with it.
    """

    expansion: int = 1
    preactivated: bool = False
    starts_at_zero: bool = False

    @abstractmethod
    def build(self, place: Place) -> nn.Module:
        """Make F for one place."""

    @abstractmethod
    def before(self, place: Place) -> nn.Module | None:
        """Make what the connection applies to the stream before F reads it, or None."""

    @abstractmethod
    def after(self) -> nn.Module | None:
        """Make the activation after the sum, or None."""

    def activation(self, width: int, dimensions: int) -> nn.Module:
        """Make what follows a convolution of the stem: norm and ReLU by default."""
        return NormActivation(width, dimensions)

    def end(self, place: Place) -> nn.Module | None:
        """Make what stands between the last block and the head, or None."""
        return self.activation(place.width_out, place.dimensions) if self.preactivated else None

    def gain(self, place: Place) -> float:
        """Give the factor on He's law for the layers of F before its last: 1 by default."""
        return 1.0


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
