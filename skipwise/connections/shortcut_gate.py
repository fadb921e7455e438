"""A gate on the skip alone: y = F(x) + (1 − g(x))·A·x."""

from dataclasses import dataclass
from typing import final

import torch
from torch import nn

from skipwise.connections.connection import Connection, ConnectionDescription, Skip
from skipwise.layers import gate_map
from skipwise.shapes import Place, Stream


@dataclass(frozen=True, kw_only=True)
class ShortcutGate(ConnectionDescription):
    """``y = F(x) + (1 − g)·A·x`` with ``g = σ(W·x + b)``.

    Args:
        bias: Where b starts; at −6 nearly all of x is carried, at 0 half of it.
    """

    bias: float = -6.0

    def build(self, place: Place, skip: Skip) -> Connection:
        """Make the gate for one place."""
        return ShortcutGateConnection(place, skip, bias=self.bias)


@final
class ShortcutGateConnection(Connection):
    """``y = F(r) + (1 − g(r))·A·x``, ``g(r) = σ(W·r + b)``, r what the branch reads.

    Args:
        place: Widths, stride and dimensions: W is a 1×1 convolution with the block's stride.
        skip: A, and what the branch reads.
        bias: Where b starts.

    Source: He et al. (2016), section 3.1, "shortcut-only gating" and figure 2 (d).
    """

    def __init__(self, place: Place, skip: Skip, *, bias: float = -6.0):
        super().__init__()
        self.skip = skip
        self.gate = gate_map(place, bias)

    def forward(self, stream: Stream, branch: nn.Module) -> Stream:
        """Add the branch to what the gate lets through."""
        carried, read = self.skip(stream)
        return branch(read) + (1 - torch.sigmoid(self.gate(read))) * carried
