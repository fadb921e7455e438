"""Names of the axes, and the tensor types built on them.

``batch`` counts examples, ``width`` is the number of features or channels, ``space`` stands for any
number of positions (none for vectors, one for signals, two for images) and ``streams`` for the
parallel copies that a many-stream connection keeps. Channels come before space, as in PyTorch's
convolutions. A :class:`Place` says where a block stands, :class:`Ends` what the data ask of a whole
network.
"""

from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float, Int, UInt8
from torch import Tensor

Stream: TypeAlias = Float[Tensor, "batch width *space"]
Streams: TypeAlias = Float[Tensor, "batch streams width *space"]
AnyStream: TypeAlias = Float[Tensor, " batch *axes"]
Outputs: TypeAlias = Float[Tensor, " batch *outputs"]
Pictures: TypeAlias = UInt8[Tensor, "batch channels height width"]
Scalar: TypeAlias = Float[Tensor, ""]
Index: TypeAlias = Int[Tensor, " batch"]
Vector: TypeAlias = Float[Tensor, " width"]
Uniforms: TypeAlias = Float[Tensor, " batch"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a block stands: its widths, its stride, and its index among ``depth`` blocks.

    The index counts from 0; ``dimensions`` are those of space.
    """

    width_in: int
    width_out: int
    stride: int = 1
    index: int = 0
    depth: int = 1
    dimensions: int = 2

    @property
    def changes_shape(self) -> bool:
        """Whether the identity does not fit and a shortcut must stand in for it."""
        return self.width_in != self.width_out or self.stride != 1


@dataclass(frozen=True, kw_only=True)
class Ends:
    """What the data ask of a network: the shape of one example's input, and of its output.

    For classes the output is ``(classes,)``; for regression it is the shape of the target.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
