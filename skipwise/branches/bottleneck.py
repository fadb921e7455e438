"""1×1 down, 3×3, 1×1 up: the branch of deep networks, in both orders, with groups."""

from dataclasses import dataclass
from typing import final

from torch import nn

from skipwise.branches.branch import Branch
from skipwise.layers import NormActivation, batch_norm, convolution
from skipwise.shapes import Place, Stream

EXPANSION = 4


@dataclass(frozen=True, kw_only=True)
class Bottleneck(Branch):
    """conv 1×1–norm–ReLU–conv 3×3–norm–ReLU–conv 1×1–norm, with a ReLU after the sum.

    Args: stride_first: Whether the stride stands on the first 1×1 (v1, as in the paper) or on the
        3×3 (v1.5). groups: Groups of the 3×3 convolution; more than one is ResNeXt. group_width:
        Width of one group where the block's width is 256; 64 gives the paper's bottleneck.
    """

    stride_first: bool = False
    groups: int = 1
    group_width: int = 64
    expansion = EXPANSION

    def __post_init__(self):
        if self.groups < 1 or self.group_width < 1:
            raise ValueError(
                f"groups and group_width must be positive, got {self.groups} and {self.group_width}"
            )

    def build(self, place: Place) -> nn.Module:
        """Make the branch."""
        inner = inner_width(place, self.groups, self.group_width)
        return BottleneckBranch(place, inner, groups=self.groups, stride_first=self.stride_first)

    def before(self, place: Place) -> nn.Module | None:
        """Give nothing: the branch reads the stream itself."""
        return None

    def after(self) -> nn.Module | None:
        """Make the ReLU after the sum."""
        return nn.ReLU()


def inner_width(place: Place, groups: int, group_width: int) -> int:
    """Give the width of the 3×3 convolution: ``⌊(width/4) · group_width/64⌋ · groups``.

    Source: Xie et al. (2017), "Aggregated residual transformations", table 1; the floor stands
    before the product.
    """
    return int(place.width_out // EXPANSION * group_width / 64) * groups


@final
class BottleneckBranch(nn.Module):
    """``N(W₃ * ReLU(N(W₂ * ReLU(N(W₁ * x)))))`` with kernels 1×1, 3×3, 1×1.

    Args:
        place: Widths, stride and dimensions.
        inner: Width between the 1×1 convolutions.
        groups: Of the 3×3.
        stride_first: Whether the stride stands on W₁, else on W₂.

    Source: He et al. (2015), figure 5 right; with the stride on W₂ (v1.5), Goyal et al. (2017),
    section 5.1.
    """

    def __init__(self, place: Place, inner: int, *, groups: int = 1, stride_first: bool = False):
        super().__init__()
        first, second = (place.stride, 1) if stride_first else (1, place.stride)
        d = place.dimensions
        self.conv1 = convolution(place.width_in, inner, size=1, stride=first, dimensions=d)
        self.norm1 = batch_norm(inner, d)
        self.conv2 = convolution(inner, inner, stride=second, dimensions=d, groups=groups)
        self.norm2 = batch_norm(inner, d)
        self.conv3 = convolution(inner, place.width_out, size=1, dimensions=d)
        self.norm3 = batch_norm(place.width_out, d)
        self.activation = nn.ReLU()

    def forward(self, x: Stream) -> Stream:
        """Compute F(x)."""
        x = self.activation(self.norm1(self.conv1(x)))
        x = self.activation(self.norm2(self.conv2(x)))
        return self.norm3(self.conv3(x))


@dataclass(frozen=True, kw_only=True)
class PreActivationBottleneck(Branch):
    """norm–ReLU–conv 1×1–norm–ReLU–conv 3×3–norm–ReLU–conv 1×1, and nothing after the sum.

    Args: stride_first: Whether the stride stands on the first 1×1 (as in the paper's code) or on
        the 3×3.
    """

    stride_first: bool = True
    expansion = EXPANSION
    preactivated = True

    def build(self, place: Place) -> nn.Module:
        """Make what follows the first activation."""
        return PreActivationBottleneckBranch(place, stride_first=self.stride_first)

    def before(self, place: Place) -> nn.Module | None:
        """Make the first norm and ReLU."""
        return NormActivation(place.width_in, place.dimensions)

    def after(self) -> nn.Module | None:
        """Give nothing: the stream stays as the sum left it."""
        return None


@final
class PreActivationBottleneckBranch(nn.Module):
    """``W₃ * ReLU(N(W₂ * ReLU(N(W₁ * x))))``; x is already activated.

    Args:
        place: Widths, stride and dimensions.
        stride_first: Whether the stride stands on W₁, else on W₂.

    Source: He et al. (2016), figure 4 (e) and section 4.1 (ResNet-164 and -1001).
    """

    def __init__(self, place: Place, *, stride_first: bool = True):
        super().__init__()
        first, second = (place.stride, 1) if stride_first else (1, place.stride)
        inner, d = place.width_out // EXPANSION, place.dimensions
        self.conv1 = convolution(place.width_in, inner, size=1, stride=first, dimensions=d)
        self.norm2 = NormActivation(inner, d)
        self.conv2 = convolution(inner, inner, stride=second, dimensions=d)
        self.norm3 = NormActivation(inner, d)
        self.conv3 = convolution(inner, place.width_out, size=1, dimensions=d)

    def forward(self, x: Stream) -> Stream:
        """Compute F(x)."""
        return self.conv3(self.norm3(self.conv2(self.norm2(self.conv1(x)))))
