"""The sum: y = A·x + α·F(x), with α fixed or learned.

α = 1 is the residual connection of He et al. (2015), eq. 1: y = F(x) + x. A fixed α < 1 keeps the
signal of deep networks bounded, for any depth if it falls with it; a learned scalar α that starts
at 0 is ReZero.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import nn

from skipwise.connections.connection import Connection, ConnectionDescription, Skip
from skipwise.shapes import Place, Stream


@dataclass(frozen=True, kw_only=True)
class Additive(ConnectionDescription):
    """``y = A·x + α·F(x)``.

    Args:
        scale: α, or where it starts if it is learned.
        learned: Whether α is a parameter: one scalar a block, SkipInit and ReZero where it starts
            at 0.
        per_channel: Whether it is one number a channel, LayerScale; needs ``learned``.
        scale_by_depth: a: α is ``scale·(L₀/L)^a`` in a network of L blocks; ½ and 1 let a rate hold
            for other depths.
        base_depth: L₀, the number of blocks at which α is ``scale``.

    Source: scale_by_depth: Yang et al. (2023), "Tensor programs VI", and Bordelon et al. (2023),
    a = ½; Dey et al. (2025), CompleteP, a = 1.
    """

    scale: float = 1.0
    learned: bool = False
    per_channel: bool = False
    scale_by_depth: float = 0.0
    base_depth: int = 1

    def __post_init__(self):
        if not 0 <= self.scale_by_depth <= 1:
            raise ValueError(
                f"scale_by_depth is a power of the depth and must lie in [0, 1], got"
                f" {self.scale_by_depth}; 0.5 divides the branches by the root of the depth"
            )
        if self.base_depth < 1:
            raise ValueError(f"base_depth is a number of blocks, at least 1, got {self.base_depth}")
        if self.base_depth != 1 and not self.scale_by_depth:
            raise ValueError("base_depth has no effect without scale_by_depth; set that too")
        if self.per_channel and not self.learned:
            raise ValueError("per_channel has no effect on a fixed scale; set learned=True too")

    def build(self, place: Place, skip: Skip) -> Connection:
        """Make the sum for one place.

        Raises:
            ValueError: If there is one number a channel, and the channels are not known.
        """
        if self.per_channel and place.width_out < 1:
            raise ValueError(
                "a scale per channel needs the width; give Residual(…, place=Place(…))"
            )
        shape = (place.width_out,) + (1,) * place.dimensions if self.per_channel else ()
        scale = self.scale_at(place.depth)
        return AdditiveConnection(skip, scale=scale, learned=self.learned, shape=shape)

    def scale_at(self, depth: int) -> float:
        """Give α in a network of so many blocks.

        >>> Additive(scale_by_depth=0.5, base_depth=3).scale_at(27)
        0.3333333333333333
        """
        return self.scale * (self.base_depth / depth) ** self.scale_by_depth


@final
class AdditiveConnection(Connection):
    """``y = A·x + α·F(x)``.

    Args:
        skip: A, and what the branch reads.
        scale: α.
        learned: Whether α is a parameter.
        shape: Its shape: ``()`` for one scalar, ``(width, 1, …)`` for one number a channel.

    Source: He et al. (2015), eq. 1 and 2 (α = 1); De, Smith (2020), SkipInit, and Bachlechner et
    al. (2020), ReZero, eq. 1 (scalar, starting at 0); Touvron et al. (2021), LayerScale, eq. 5
    (per channel).
    """

    def __init__(
        self,
        skip: Skip,
        *,
        scale: float = 1.0,
        learned: bool = False,
        shape: tuple[int, ...] = (),
    ):
        super().__init__()
        self.skip = skip
        start = torch.full(shape, float(scale))
        self.scale = nn.Parameter(start) if learned else float(scale)

    def forward(self, stream: Stream, branch: nn.Module) -> Stream:
        """Add the branch to what is carried."""
        carried, read = self.skip(stream)
        if isinstance(self.scale, float) and self.scale == 1.0:
            return carried + branch(read)
        return carried + self.scale * branch(read)
