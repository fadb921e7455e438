"""The sum: y = A·x + α·F(x), with α fixed or learned.

α = 1 is the residual connection of He et al. (2015), eq. 1: y = F(x) + x. A fixed α < 1 keeps the
signal of deep networks bounded; a learned scalar α that starts at 0 is ReZero.
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
    """

    scale: float = 1.0
    learned: bool = False
    per_channel: bool = False

    def __post_init__(self):
        if self.per_channel and not self.learned:
            raise ValueError("per_channel has no effect on a fixed scale; set learned=True too")

    def build(self, place: Place, skip: Skip) -> Connection:
        """Make the sum for one place."""
        shape = (place.width_out,) + (1,) * place.dimensions if self.per_channel else ()
        return AdditiveConnection(skip, scale=self.scale, learned=self.learned, shape=shape)


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
