"""Residual learning as an objective: min over F of 1/N Σ‖y − (F(x) + x)‖².

The skip stands at the outermost level, around the whole of F: the network learns what to *add* to
its input. For vectors F is a linear map or an MLP, for images a convolutional network of equal
resolution.
"""

import math
from dataclasses import dataclass, field, replace

from torch import nn

from skipwise.branches import Basic, Perceptron
from skipwise.connections import Additive, ConnectionDescription, Padded
from skipwise.layers import CONVOLUTIONS
from skipwise.networks.network import Network, NetworkDescription
from skipwise.networks.residual import Residual
from skipwise.networks.resnet import check_learns, initialise_he
from skipwise.networks.stem import SmallStem
from skipwise.networks.trunk import build_trunk
from skipwise.shapes import Ends, Place


@dataclass(frozen=True, kw_only=True)
class Linear(NetworkDescription):
    """``F(x) = W·x + b`` on vectors, starting at zero."""

    name: str = "linear"

    def build(self, ends: Ends) -> nn.Module:
        """Make it."""
        linear = nn.Linear(_features(self.name, ends.inputs), _features(self.name, ends.outputs))
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        return linear


@dataclass(frozen=True, kw_only=True)
class ResidualMLP(NetworkDescription):
    """Linear stem → residual blocks of perceptrons → linear head, on vectors.

    Args:
        name: What tables call it.
        width: Of the stream.
        blocks: Number of blocks.
        branch: What is computed off the stream.
        connection: How it joins.
    """

    name: str = "mlp"
    width: int = 64
    blocks: int = 4
    branch: Perceptron = field(default_factory=Perceptron)
    connection: ConnectionDescription = field(default_factory=Additive)

    def __post_init__(self):
        if self.width < 1 or self.blocks < 1:
            raise ValueError(
                f"width and blocks must be positive, got {self.width} and {self.blocks}"
            )
        check_learns(self.name, self.connection)

    def build(self, ends: Ends) -> nn.Module:
        """Make it."""
        stem = nn.Linear(_features(self.name, ends.inputs), self.width)
        head: nn.Module = nn.Linear(self.width, math.prod(ends.outputs))
        if len(ends.outputs) > 1:
            head = nn.Sequential(head, nn.Unflatten(1, ends.outputs))
        places = _flat(self.width, self.blocks, 0)
        trunk = build_trunk(places, self.branch, self.connection, Padded())
        return Network(stem, trunk, head)


@dataclass(frozen=True, kw_only=True)
class FullyConvolutional(NetworkDescription):
    """3×3 stem → residual blocks at full resolution → 3×3 convolution back to the channels.

    The last convolution starts at zero.

    Args:
        name: What tables call it.
        width: Of the stream.
        blocks: Number of blocks.
        connection: How a branch joins.
    """

    name: str = "convolutional"
    width: int = 32
    blocks: int = 4
    connection: ConnectionDescription = field(default_factory=Additive)

    def __post_init__(self):
        if self.width < 1 or self.blocks < 1:
            raise ValueError(
                f"width and blocks must be positive, got {self.width} and {self.blocks}"
            )

    def build(self, ends: Ends) -> nn.Module:
        """Make it.

        Raises:
            ValueError: If inputs and outputs are not images of equal size.
        """
        space = len(ends.inputs) - 1
        if not 1 <= space <= 3 or ends.inputs[1:] != ends.outputs[1:]:
            raise ValueError(
                f"{self.name} needs images of equal size, got {ends.inputs} and {ends.outputs}"
            )
        stem = SmallStem().build(ends, self.width, activated=True)
        head = CONVOLUTIONS[space - 1](self.width, ends.outputs[0], 3, padding=1)
        trunk = build_trunk(
            _flat(self.width, self.blocks, space), Basic(), self.connection, Padded()
        )
        network = Network(stem, trunk, head)
        initialise_he(network)
        nn.init.zeros_(head.weight)
        return network


@dataclass(frozen=True, kw_only=True)
class Outermost(NetworkDescription):
    """``y = F(x) + x`` with a whole network as F.

    Args:
        name: What tables call it.
        inner: F.

    Source: the objective of residual learning, min over F of 1/N Σ‖y − (F(x) + x)‖²; as a network
    for images, Zhang et al. (2017), DnCNN, section III.
    """

    name: str = "residual_linear"
    inner: NetworkDescription = field(default_factory=Linear)

    def build(self, ends: Ends) -> nn.Module:
        """Make it.

        Raises:
            ValueError: If the target has another shape than the input.
        """
        if ends.inputs != ends.outputs:
            raise ValueError(
                f"{self.name} adds its input to its output, so the target must have"
                f" the input's shape {ends.inputs}, but it has {ends.outputs}"
            )
        return Residual(self.inner.build(ends))


def residual_linear() -> Outermost:
    """Y = W·x + b + x on vectors: its least-squares solution is known."""
    return Outermost()


def residual_mlp() -> Outermost:
    """Y = MLP(x) + x on vectors."""
    return Outermost(name="residual_mlp", inner=ResidualMLP())


def residual_convolutional() -> Outermost:
    """Y = F(x) + x on images, F a residual network at full resolution."""
    return Outermost(name="residual_convolutional", inner=FullyConvolutional())


def mlp() -> ResidualMLP:
    """Residual blocks of perceptrons on vectors, for classes or numbers."""
    return ResidualMLP()


def _features(name: str, shape: tuple[int, ...]) -> int:
    if len(shape) != 1:
        raise ValueError(
            f"{name} reads and gives vectors, not examples of shape {shape};"
            " for images choose resnet20"
        )
    return shape[0]


def _flat(width: int, blocks: int, dimensions: int) -> list[Place]:
    place = Place(width_in=width, width_out=width, depth=blocks, dimensions=dimensions)
    return [replace(place, index=index) for index in range(blocks)]
