"""The gate: y = T(x)·F(x) + (1 − T(x))·A·x, where the network learns how much of x to carry."""

from dataclasses import dataclass
from typing import final

import torch
from torch import nn

from skipwise.connections.connection import Connection, ConnectionDescription, Skip
from skipwise.layers import gate_map
from skipwise.shapes import Place, Stream


@dataclass(frozen=True, kw_only=True)
class Highway(ConnectionDescription):
    """``y = T·F(x) + (1 − T)·A·x`` with ``T = σ(W·x + b)``.

    Args:
        bias: Where b starts. Negative carries at first; the deeper the network, the lower it must
            be.
    """

    bias: float = -2.0

    def build(self, place: Place, skip: Skip) -> Connection:
        """Make the gate for one place."""
        return HighwayConnection(place, skip, bias=self.bias)


@final
class HighwayConnection(Connection):
    """``y = T(r)·F(r) + (1 − T(r))·A·x`` with ``T(r) = σ(W·r + b)``.

    r is what the branch reads; T has a value for each channel and position.

    Args:
        place: Widths, stride and dimensions: W is a 1×1 convolution with the block's stride.
        skip: A, and what the branch reads.
        bias: Where b starts.

    Source: Srivastava et al. (2015), "Highway Networks", eq. 3; as "exclusive gating" with a 1×1
    convolution in He et al. (2016), section 3.1.
    """

    def __init__(self, place: Place, skip: Skip, *, bias: float = -2.0):
        super().__init__()
        self.skip = skip
        self.gate = gate_map(place, bias)

    def forward(self, stream: Stream, branch: nn.Module) -> Stream:
        """Mix the branch and what is carried by the gate."""
        carried, read = self.skip(stream)
        gate = torch.sigmoid(self.gate(read))
        return gate * branch(read) + (1 - gate) * carried
