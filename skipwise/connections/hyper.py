"""Several streams: S' = Hᵀ·A·S + b ⊗ F(a·S), with learned reading, mixing and writing.

The state holds n copies of the stream, ``(batch, streams, width, *space)``. Each block reads one
combination of them, mixes them, and writes its branch back to each with a weight of its own. At the
start every stream is the plain residual stream, bit for bit.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import einsum, nn

from skipwise.connections.connection import Connection, ConnectionDescription, Skip
from skipwise.shapes import Place, Stream, Streams


@dataclass(frozen=True, kw_only=True)
class Hyper(ConnectionDescription):
    """Static hyper-connections over ``streams`` copies of the residual stream.

    Args:
        streams: n, at least 2.
    """

    streams: int = 2

    def __post_init__(self):
        if self.streams < 2:
            raise ValueError(
                f"streams must be at least 2, got {self.streams}; for one stream use Additive"
            )

    def build(self, place: Place, skip: Skip) -> Connection:
        """Make the connection for one place; block l reads stream l mod n at first."""
        return HyperConnection(skip, streams=self.streams, index=place.index)

    def expand(self, stream: Stream) -> Streams:
        """Repeat the stream n times."""
        return stream.unsqueeze(1).expand(-1, self.streams, *stream.shape[1:])

    def collapse(self, state: Streams) -> Stream:
        """Sum the streams."""
        return state.sum(1)


@final
class HyperConnection(Connection):
    """``S'_t = Σ_s H_st·A(S_s) + b_t·F(N(Σ_s a_s·S_s))`` for streams s, t = 1 … n.

    H is ``mix`` (n, n), a is ``read`` (n), b is ``write`` (n). They start at the identity, at the
    unit vector of the block's index mod n, and at one.

    Args:
        skip: A and N.
        streams: n.
        index: The block's index, which chooses the stream it reads at first.

    Source: Zhu et al. (2024), "Hyper-Connections", eq. 1 and 2 with the static matrices and the
    initialisation of eq. 14. Differs: streams stand on axis 1, for convolutions; where the shape
    changes each stream passes the shortcut.
    """

    def __init__(self, skip: Skip, *, streams: int, index: int = 0):
        super().__init__()
        self.skip = skip
        self.read = nn.Parameter(torch.eye(streams)[index % streams].clone())
        self.mix = nn.Parameter(torch.eye(streams))
        self.write = nn.Parameter(torch.ones(streams))

    def forward(self, stream: Streams, branch: nn.Module) -> Streams:
        """Read one combination, mix the streams, write the branch to each."""
        inner = branch(self.skip.norm(einsum("s,bs...->b...", self.read, stream)))
        carried = einsum("st,bs...->bt...", self.mix, self._across(stream))
        return carried + einsum("t,b...->bt...", self.write, inner)

    def _across(self, stream: Streams) -> Streams:
        if self.skip.shortcut is None and not self.skip.carries_norm:
            return stream
        carried, _ = self.skip(stream.flatten(0, 1))
        return carried.unflatten(0, stream.shape[:2])
