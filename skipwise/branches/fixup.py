"""Fixup: branches without norms, whose size at the start is set by the depth.

A norm in every branch keeps the stream of a deep network bounded. Fixup does it by initialisation:
the last layer of a branch starts at zero and its other layers at He's law divided by a power of the
number of branches. What else a norm gives, one scalar bias before every convolution, linear map and
activation and one scalar factor a branch give here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import nn

from skipwise.branches.branch import Branch
from skipwise.layers import Bias, BiasActivation, convolution
from skipwise.shapes import Place, Stream

EXPANSION = 4


class WithoutNorms(Branch):
    """What the two Fixup branches share: biases at all ends, and how they start.

    Without norms a high rate may diverge: clip the gradient (``strategy.clip_norm=1``). In the
    authors' code the scalars learn at a tenth of the rate (``strategy.scalar_rate=0.1``).

    Source: Zhang, Dauphin, Ma (2019), section 3.2, rules 1 to 3.
    """

    starts_at_zero = True
    layers: int

    def before(self, place: Place) -> nn.Module | None:
        """Make the bias that the first convolution and the shortcut read behind."""
        return Bias()

    def after(self) -> nn.Module | None:
        """Make the ReLU after the sum."""
        return nn.ReLU()

    def activation(self, width: int, dimensions: int) -> nn.Module:
        """Make the bias and ReLU of the stem."""
        return BiasActivation()

    def end(self, place: Place) -> nn.Module | None:
        """Make the bias before the linear map; the mean over space leaves it as it is."""
        return Bias()

    def gain(self, place: Place) -> float:
        """Give ``L^(−1/(2m−2))``: L branches in the network, m convolutions in each."""
        return place.depth ** (-1 / (2 * self.layers - 2))


@final
@dataclass(frozen=True, kw_only=True)
class Fixup(WithoutNorms):
    """conv 3×3–ReLU–conv 3×3 with scalar biases and a factor, and a ReLU after the sum."""

    layers = 2

    def build(self, place: Place) -> nn.Module:
        """Make the branch, the stride on its first convolution."""
        width, d = place.width_out, place.dimensions
        first = convolution(place.width_in, width, stride=place.stride, dimensions=d)
        return FixupBranch([first, convolution(width, width, dimensions=d)])


@final
@dataclass(frozen=True, kw_only=True)
class FixupBottleneck(WithoutNorms):
    """conv 1×1–ReLU–conv 3×3–ReLU–conv 1×1 with scalar biases and a factor; ReLU after the sum."""

    expansion = EXPANSION
    layers = 3

    def build(self, place: Place) -> nn.Module:
        """Make the branch, the stride on its 3×3."""
        width, d = place.width_out, place.dimensions
        inner = width // EXPANSION
        return FixupBranch([
            convolution(place.width_in, inner, size=1, dimensions=d),
            convolution(inner, inner, stride=place.stride, dimensions=d),
            convolution(inner, width, size=1, dimensions=d),
        ])


@final
class FixupBranch(nn.Module):
    """``s·W_m * (ReLU(… ReLU(W₁ * x + b₁) + b₁′ …) + b′) + b``; x is already behind its bias.

    Args:
        convolutions: W₁ … W_m, at least two.

    Source: Zhang, Dauphin, Ma (2019), section 3.2, figure 1 (right).
    """

    def __init__(self, convolutions: Sequence[nn.Module]):
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)
        self.between = nn.ModuleList(
            nn.Sequential(BiasActivation(), Bias()) for _ in convolutions[1:]
        )
        self.scale = nn.Parameter(torch.ones(()))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Stream) -> Stream:
        """Compute F(x)."""
        x = self.convolutions[0](x)
        for activation, following in zip(self.between, self.convolutions[1:], strict=True):
            x = following(activation(x))
        return self.scale * x + self.bias
