"""The contract: how a branch joins the residual stream, ``(stream, branch) → stream``.

Every published connection is one algebra, ``S' = A·S + B·F(C·S)``: what is carried (A), how the
branch is written back (B) and what the branch reads (C). A connection is a module whose formula
stands in one expression with the branch passed in, so that a term that was computed and dropped is
visible to the eye. A description says which connection; a :class:`Place` says where it stands, so
that an initialisation may know the depth.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from skipwise.shapes import AnyStream, Place, Stream


class Skip(nn.Module):
    """What a block carries and what its branch reads: ``x → (A·x, N(x))``.

    Where the shape stays, A is the identity on the raw stream. Where it changes, A is the shortcut,
    and it acts on ``N(x)``; in the first block of a pre-activation network the identity does so
    too.

    Args:
        norm: N, what stands before the branch (pre-activation); nothing by default.
        shortcut: A where the identity does not fit, or None.
        carries_norm: Carry ``N(x)`` although the shape stays.

    Source: He et al. (2016), "Identity mappings in deep residual networks", figure 4 (e) and
    section 4.1's remark on the first and last unit. Without N: He et al. (2015), eq. 1 and 2.
    """

    def __init__(
        self,
        norm: nn.Module | None = None,
        shortcut: nn.Module | None = None,
        *,
        carries_norm: bool = False,
    ):
        super().__init__()
        self.norm = nn.Identity() if norm is None else norm
        self.shortcut = shortcut
        self.carries_norm = carries_norm

    def forward(self, stream: Stream) -> tuple[Tensor, Tensor]:
        """Give the carried stream and what the branch reads."""
        read = self.norm(stream)
        if self.shortcut is not None:
            return self.shortcut(read), read
        return (read if self.carries_norm else stream), read


class Connection(nn.Module, ABC):
    """How a branch joins the residual stream."""

    @abstractmethod
    def forward(self, stream: AnyStream, branch: nn.Module) -> AnyStream:
        """Give the stream after the block."""


class ConnectionDescription(ABC):
    """The frozen choice of a connection."""

    @abstractmethod
    def build(self, place: Place, skip: Skip) -> Connection:
        """Make the connection for one place."""

    def branch_place(self, place: Place) -> Place:
        """Say what the branch reads and gives; those that concatenate or split differ here."""
        return place

    def expand(self, stream: Stream) -> AnyStream:
        """Make the state that the blocks pass on from the output of the stem."""
        return stream

    def collapse(self, state: AnyStream) -> Stream:
        """Make what the head reads from the last state."""
        return state
