"""No skip at all: y = F(x), the plain network that a residual one is compared with."""

from dataclasses import dataclass
from typing import final

from torch import nn

from skipwise.connections.connection import Connection, ConnectionDescription, Skip
from skipwise.shapes import Place, Stream


@dataclass(frozen=True, kw_only=True)
class Plain(ConnectionDescription):
    """``y = F(x)``: the same branches without the stream."""

    def build(self, place: Place, skip: Skip) -> Connection:
        """Make it for one place; the shortcut, if there is one, is left out."""
        return PlainConnection(skip.norm)


@final
class PlainConnection(Connection):
    """``y = F(N(x))``.

    Args:
        norm: N, what stands before a pre-activation branch.

    Source: He et al. (2015), section 3.3, "Plain Network".
    """

    def __init__(self, norm: nn.Module):
        super().__init__()
        self.norm = norm

    def forward(self, stream: Stream, branch: nn.Module) -> Stream:
        """Replace the stream by the branch."""
        return branch(self.norm(stream))
