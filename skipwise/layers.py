"""The layers of connections and branches, for any number of space dimensions (0: vectors)."""

from torch import nn

from skipwise.shapes import Place

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def convolution(
    width_in: int, width_out: int, *, size: int = 3, stride: int = 1, dimensions: int = 2
) -> nn.Module:
    """Make a convolution without bias that keeps the resolution at stride 1 (odd ``size``)."""
    make = CONVOLUTIONS[dimensions - 1]
    return make(width_in, width_out, size, stride=stride, padding=size // 2, bias=False)


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
    make = CONVOLUTIONS[place.dimensions - 1]
    return make(place.width_in, place.width_out, 1, stride=place.stride, bias=bias)


def batch_norm(width: int, dimensions: int = 2) -> nn.Module:
    """Make BatchNorm over ``width`` channels."""
    return NORMS[max(dimensions, 1) - 1](width)


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
