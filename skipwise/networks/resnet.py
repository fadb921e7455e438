"""Residual networks of convolutions: a stem, stages of blocks, a pooled head.

Every stage after the first doubles the width and halves the resolution.
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import final

from torch import nn

from skipwise.branches import Basic, Branch
from skipwise.connections import Additive, ConnectionDescription, Padded, Shortcut
from skipwise.layers import CONVOLUTIONS, NormActivation, convolution
from skipwise.networks.network import Network, NetworkDescription
from skipwise.networks.trunk import build_trunk
from skipwise.shapes import Ends, Outputs, Place, Stream


@dataclass(frozen=True, kw_only=True)
class ResNet(NetworkDescription):
    """A residual network for images (or signals, or volumes) and its classes.

    Args:
        name: What tables and folders call it.
        blocks: Blocks in each stage; stage s has width ``width · 2^s`` and, after the first, starts
            with stride 2.
        width: Width of the stem and the first stage.
        branch: What is computed off the stream.
        connection: How it joins.
        shortcut: The identity where the shape changes.

    Source: He et al. (2015), section 4.2 (three stages, 16 channels, 3×3 stem).
    """

    name: str
    blocks: tuple[int, ...]
    width: int = 16
    branch: Branch = field(default_factory=Basic)
    connection: ConnectionDescription = field(default_factory=Additive)
    shortcut: Shortcut = field(default_factory=Padded)

    def __post_init__(self):
        if not self.blocks or min(self.blocks) < 1:
            raise ValueError(
                f"blocks must give at least one block to every stage, got {self.blocks}"
            )
        if self.width < 1:
            raise ValueError(f"width must be positive, got {self.width}")

    def build(self, ends: Ends) -> nn.Module:
        """Make the network, with He's initialisation.

        Raises:
            ValueError: If examples have no axes of space, or more than three.
        """
        channels, *space = ends.inputs
        if not 1 <= len(space) <= 3:
            raise ValueError(
                f"{self.name} convolves and needs images or signals;"
                f" examples of shape {ends.inputs} go to mlp"
            )
        places = self.places(len(space))
        preactivated = self.branch.before(places[0]) is not None
        stem = Stem(channels, self.width, dimensions=len(space), activated=not preactivated)
        trunk = build_trunk(places, self.branch, self.connection, self.shortcut)
        network = Network(stem, trunk, Head(places[-1].width_out, math.prod(ends.outputs)))
        initialise_he(network)
        return network

    def places(self, dimensions: int = 2) -> list[Place]:
        """Say where each block stands."""
        stages = [stage for stage, blocks in enumerate(self.blocks) for _ in range(blocks)]
        steps = list(pairwise([0, *stages]))
        return [
            Place(
                width_in=self.width * 2**before,
                width_out=self.width * 2**stage,
                stride=2 if stage > before else 1,
                index=index,
                depth=len(stages),
                dimensions=dimensions,
            )
            for index, (before, stage) in enumerate(steps)
        ]


@final
class Stem(nn.Module):
    """A 3×3 convolution, and norm and ReLU unless the blocks begin with their own.

    Args:
        channels: Of the input.
        width: Of the stream.
        dimensions: Of space.
        activated: Whether norm and ReLU follow.
    """

    def __init__(self, channels: int, width: int, *, dimensions: int, activated: bool):
        super().__init__()
        self.conv = convolution(channels, width, dimensions=dimensions)
        self.norm = NormActivation(width, dimensions) if activated else nn.Identity()

    def forward(self, x: Stream) -> Stream:
        """Give the stream."""
        return self.norm(self.conv(x))


@final
class Head(nn.Module):
    """The mean over space, and a linear map.

    Args:
        width: Of the stream.
        outputs: Number of outputs.
    """

    def __init__(self, width: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(width, outputs)

    def forward(self, x: Stream) -> Outputs:
        """Give the outputs."""
        return self.linear(x.flatten(2).mean(2))


def initialise_he(network: nn.Module) -> None:
    """Draw every convolution from He's N(0, 2 / (k·c_out)), fan-out, with k kernel positions.

    Source: He et al. (2015b), "Delving deep into rectifiers", eq. 14.
    """
    for module in network.modules():
        if isinstance(module, CONVOLUTIONS):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
