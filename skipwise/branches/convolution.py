"""Two 3×3 convolutions, in the original order and with the activation first."""

from dataclasses import dataclass
from typing import final

from torch import nn

from skipwise.branches.branch import Branch
from skipwise.layers import NormActivation, batch_norm, check_dropout, convolution, dropout
from skipwise.shapes import Place, Stream


@dataclass(frozen=True, kw_only=True)
class Basic(Branch):
    """conv–norm–ReLU–conv–norm, with a ReLU after the sum: ResNet v1."""

    def build(self, place: Place) -> nn.Module:
        """Make the branch."""
        return BasicBranch(place)

    def before(self, place: Place) -> nn.Module | None:
        """Give nothing: the branch reads the stream itself."""
        return None

    def after(self) -> nn.Module | None:
        """Make the ReLU after the sum."""
        return nn.ReLU()


@final
class BasicBranch(nn.Module):
    """``N(W₂ * ReLU(N(W₁ * x)))`` with 3×3 kernels, the stride on W₁.

    Args:
        place: Widths, stride and dimensions.

    Source: He et al. (2015), figure 5 left, table 1 (18 and 34 layers).
    """

    def __init__(self, place: Place):
        super().__init__()
        width, dimensions = place.width_out, place.dimensions
        self.conv1 = convolution(place.width_in, width, stride=place.stride, dimensions=dimensions)
        self.norm1 = batch_norm(width, dimensions)
        self.activation = nn.ReLU()
        self.conv2 = convolution(width, width, dimensions=dimensions)
        self.norm2 = batch_norm(width, dimensions)

    def forward(self, x: Stream) -> Stream:
        """Compute F(x)."""
        return self.norm2(self.conv2(self.activation(self.norm1(self.conv1(x)))))


@dataclass(frozen=True, kw_only=True)
class PreActivation(Branch):
    """norm–ReLU–conv–norm–ReLU–conv, and nothing after the sum: ResNet v2.

    The connection owns the first norm–ReLU.

    Args:
        dropout: Probability that a number between the two convolutions is dropped in training; wide
            networks have 0.3.

    Source: He et al. (2016), figure 4 (e); dropout: Zagoruyko, Komodakis (2016), section 2.4.
    """

    dropout: float = 0.0
    preactivated = True

    def __post_init__(self):
        check_dropout(self.dropout)

    def build(self, place: Place) -> nn.Module:
        """Make what follows the first activation."""
        return PreActivationBranch(place, dropped=self.dropout)

    def before(self, place: Place) -> nn.Module | None:
        """Make the first norm and ReLU."""
        return NormActivation(place.width_in, place.dimensions)

    def after(self) -> nn.Module | None:
        """Give nothing: the stream stays as the sum left it."""
        return None


@final
class PreActivationBranch(nn.Module):
    """``W₂ * D(ReLU(N(W₁ * x)))`` with 3×3 kernels, the stride on W₁; x is already activated.

    Args:
        place: Widths, stride and dimensions.
        dropped: Probability of the dropout D.

    Source: He et al. (2016), figure 4 (e).
    """

    def __init__(self, place: Place, *, dropped: float = 0.0):
        super().__init__()
        width, dimensions = place.width_out, place.dimensions
        self.conv1 = convolution(place.width_in, width, stride=place.stride, dimensions=dimensions)
        self.norm2 = NormActivation(width, dimensions)
        self.dropout = dropout(dropped)
        self.conv2 = convolution(width, width, dimensions=dimensions)

    def forward(self, x: Stream) -> Stream:
        """Compute F(x)."""
        return self.conv2(self.dropout(self.norm2(self.conv1(x))))
