"""Two linear maps with a ReLU between: the branch for vectors."""

from dataclasses import dataclass
from typing import final

from torch import nn

from skipwise.branches.branch import Branch
from skipwise.layers import check_dropout, dropout
from skipwise.shapes import Place, Stream


@dataclass(frozen=True, kw_only=True)
class Perceptron(Branch):
    """Linear–ReLU–linear.

    Args:
        hidden: Width between the two maps, as a multiple of the block's width.
        dropout: Probability that a number between them is dropped in training.
    """

    hidden: int = 2
    dropout: float = 0.0

    def __post_init__(self):
        if self.hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {self.hidden}")
        check_dropout(self.dropout)

    def build(self, place: Place) -> nn.Module:
        """Make the branch."""
        return PerceptronBranch(place, hidden=self.hidden, dropped=self.dropout)

    def before(self, place: Place) -> nn.Module | None:
        """Give nothing."""
        return None

    def after(self) -> nn.Module | None:
        """Give nothing: the stream may be negative."""
        return None


@final
class PerceptronBranch(nn.Module):
    """``W₂·D(ReLU(W₁·x + b₁)) + b₂``, D the dropout.

    W₂ starts at zero, so the block starts as the identity.

    Args:
        place: Widths; there is no space.
        hidden: Multiple of the block's width.
        dropped: Probability of the dropout.

    Source: Goyal et al. (2017), section 5.1 (the last layer of a branch at zero), here for a linear
    map.
    """

    def __init__(self, place: Place, *, hidden: int = 2, dropped: float = 0.0):
        super().__init__()
        self.linear1 = nn.Linear(place.width_in, hidden * place.width_out)
        self.activation = nn.ReLU()
        self.dropout = dropout(dropped)
        self.linear2 = nn.Linear(hidden * place.width_out, place.width_out)
        nn.init.zeros_(self.linear2.weight)
        nn.init.zeros_(self.linear2.bias)

    def forward(self, x: Stream) -> Stream:
        """Compute F(x)."""
        return self.linear2(self.dropout(self.activation(self.linear1(x))))
