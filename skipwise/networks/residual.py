"""A skip around any module of a user's own network, at any level of it."""

from typing import final

from torch import Tensor, nn

from skipwise.connections import Additive, ConnectionDescription, Skip
from skipwise.shapes import Place

UNKNOWN = Place(width_in=0, width_out=0)


@final
class Residual(nn.Module):
    """``y = φ(A·x + F(x))`` around any module F, or any other connection in place of the sum.

    >>> import torch
    >>> block = Residual(torch.nn.Linear(3, 3))
    >>> x = torch.ones(2, 3)
    >>> torch.equal(block(x), x + block.branch(x))
    True

    Args:
        branch: F.
        connection: Which connection; the sum by default.
        norm: What stands before F, or None.
        shortcut: A, a module, where F changes the shape; the identity by default.
        activation: φ, or None.
        place: Widths and dimensions, for connections with parameters of their own (Highway).

    Raises:
        ValueError: If the connection needs a place and got none.

    Source: He et al. (2015), eq. 1 and 2.
    """

    def __init__(
        self,
        branch: nn.Module,
        connection: ConnectionDescription | None = None,
        *,
        norm: nn.Module | None = None,
        shortcut: nn.Module | None = None,
        activation: nn.Module | None = None,
        place: Place = UNKNOWN,
    ):
        super().__init__()
        self.description = Additive() if connection is None else connection
        self.connection = self.description.build(place, Skip(norm, shortcut))
        self.branch = branch
        self.activation = nn.Identity() if activation is None else activation

    def forward(self, x: Tensor) -> Tensor:
        """Give the stream after the block."""
        state = self.connection(self.description.expand(x), self.branch)
        return self.activation(self.description.collapse(state))
