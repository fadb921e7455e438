"""The layers of connections and branches, for any number of space dimensions (0: vectors)."""

from typing import final

import torch
from torch import nn
from torch.nn.functional import conv2d

from skipwise.shapes import Place

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

REGISTER = 8  # float32 numbers in an AVX2 register


@final
class Narrow(nn.Conv2d):
    """A 1×1 convolution with a stride, of fewer channels than a register holds.

    It thins out the positions first, which gives the same. torch 2.14 without AVX-512 writes beyond
    its memory in the backward pass of such a convolution in channels-last.
    """

    def forward(self, input):
        """Take every stride-th position, then map the channels."""
        down, right = self.stride
        return conv2d(input[..., ::down, ::right], self.weight, self.bias)


def convolution(
    width_in: int,
    width_out: int,
    *,
    size: int = 3,
    stride: int = 1,
    dimensions: int = 2,
    groups: int = 1,
) -> nn.Module:
    """Make a convolution without bias that keeps the resolution at stride 1 (odd ``size``)."""
    narrow = dimensions == 2 and size == 1 < stride and groups == 1 and width_in < REGISTER
    make = Narrow if narrow else CONVOLUTIONS[dimensions - 1]
    around = size // 2
    return make(width_in, width_out, size, stride, around, groups=groups, bias=False)


def max_pool(dimensions: int = 2) -> nn.Module:
    """Make the 3-wide max-pooling of stride 2 that ends the ImageNet stem."""
    return POOLS[dimensions - 1](3, stride=2, padding=1)


def average_pool(stride: int, dimensions: int = 2) -> nn.Module:
    """Make the mean over ``stride`` positions in each direction, fewer at the edge."""
    make = AVERAGES[dimensions - 1]
    return make(stride, stride, ceil_mode=True, count_include_pad=False)


def pointwise(place: Place, *, bias: bool) -> nn.Module:
    """Make the 1×1 convolution from the block's input to its output; for vectors, the linear map.

    Raises:
        ValueError: If the place does not say the widths.
    """
    if place.width_in < 1:
        raise ValueError(
            "this connection has a map of its own and must know the width of the stream;"
            " pass place=Place(width_in=…, width_out=…, dimensions=…)"
        )
    if place.dimensions == 0:
        return nn.Linear(place.width_in, place.width_out, bias=bias)
    narrow = place.dimensions == 2 and place.stride > 1 and place.width_in < REGISTER
    make = Narrow if narrow else CONVOLUTIONS[place.dimensions - 1]
    return make(place.width_in, place.width_out, 1, stride=place.stride, bias=bias)


def gate_map(place: Place, bias: float) -> nn.Module:
    """Make the 1×1 convolution under a gate, whose bias starts at ``bias``."""
    gate = pointwise(place, bias=True)
    nn.init.constant_(gate.get_parameter("bias"), bias)
    return gate


def batch_norm(width: int, dimensions: int = 2) -> nn.Module:
    """Make BatchNorm over ``width`` channels."""
    return NORMS[max(dimensions, 1) - 1](width)


def dropout(probability: float) -> nn.Module:
    """Make the dropout of single numbers in training, or nothing where the probability is 0."""
    return nn.Dropout(probability) if probability else nn.Identity()


def check_dropout(probability: float) -> None:
    """See that it is a probability.

    Raises:
        ValueError: If it is not.
    """
    if not 0 <= probability < 1:
        raise ValueError(f"dropout must lie in [0, 1), got {probability}; 0 drops nothing")


class NormActivation(nn.Module):
    """``ReLU(BatchNorm(x))``: what stands before a pre-activation branch.

    Args:
        width: Channels.
        dimensions: Of space.
    """

    def __init__(self, width: int, dimensions: int = 2):
        super().__init__()
        self.norm = batch_norm(width, dimensions)
        self.activation = nn.ReLU()

    def forward(self, x):
        """Normalise, then cut off below zero."""
        return self.activation(self.norm(x))


class Bias(nn.Module):
    """``x + b`` with one number b for all of x; it starts at zero."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        """Add it."""
        return x + self.bias


class BiasActivation(nn.Module):
    """``ReLU(x + b)``: what stands for norm and ReLU where there are no norms."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))
        self.activation = nn.ReLU()

    def forward(self, x):
        """Add the bias, then cut off below zero."""
        return self.activation(x + self.bias)
