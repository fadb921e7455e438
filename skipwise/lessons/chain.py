"""Chains: networks of layers of one width, in which depth, sum and norm are all that differs.

Pictures are read as vectors, so that no border and no down-sampling comes between a measurement and
mean-field theory, which is about wide layers with independent weights. Every block has two layers,
and a chain of b blocks has 2b + 2 with stem and head: 8, 20, 56 and 110 layers are 3, 9, 27 and 54
blocks, as many as in the CIFAR networks of these depths.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

from torch import nn

from skipwise.branches import Branch
from skipwise.connections import Additive, ConnectionDescription, Plain, Skip
from skipwise.layers import NormActivation
from skipwise.networks import Block, Network, NetworkDescription, Trunk
from skipwise.networks.resnet import zero_last_layers
from skipwise.shapes import Ends, Place


@final
@dataclass(frozen=True, kw_only=True)
class Rectified(Branch):
    """ReLU–linear–ReLU–linear, and nothing after the sum; the connection owns the first ReLU.

    Args:
        normed: Whether a BatchNorm stands before each ReLU.

    Source: He et al. (2016), figure 4 (e), with linear maps.
    """

    normed: bool = False
    preactivated = True

    def build(self, place: Place) -> nn.Module:
        """Make what follows the first ReLU."""
        return _two_layers(place, self.activation(place.width_out, place.dimensions))

    def before(self, place: Place) -> nn.Module | None:
        """Make the first ReLU, with its norm."""
        return self.activation(place.width_in, place.dimensions)

    def after(self) -> nn.Module | None:
        """Give nothing."""
        return None

    def activation(self, width: int, dimensions: int) -> nn.Module:
        """Make a ReLU, with its norm."""
        return NormActivation(width, dimensions) if self.normed else nn.ReLU()


@final
@dataclass(frozen=True, kw_only=True)
class Squashed(Branch):
    """linear–sigmoid–linear, with a sigmoid after: the networks before ReLU."""

    def build(self, place: Place) -> nn.Module:
        """Make the branch."""
        return _two_layers(place, nn.Sigmoid())

    def before(self, place: Place) -> nn.Module | None:
        """Give nothing."""
        return None

    def after(self) -> nn.Module | None:
        """Make the second sigmoid."""
        return nn.Sigmoid()

    def activation(self, width: int, dimensions: int) -> nn.Module:
        """Make the sigmoid of the stem."""
        return nn.Sigmoid()


def _two_layers(place: Place, between: nn.Module) -> nn.Module:
    wide = [
        nn.Linear(a, b, bias=False) for a, b in pairwise((place.width_in, *[place.width_out] * 2))
    ]
    return nn.Sequential(wide[0], between, wide[1])


@final
@dataclass(frozen=True, kw_only=True)
class Chain(NetworkDescription):
    """Linear stem → blocks of one width → linear head; only the head has a bias.

    Weights start from N(0, g/n) with n inputs: g = 2 behind a ReLU (He), else 1.

    Args:
        name: What tables call it.
        blocks: Of two layers each.
        width: Of the stream.
        branch: What is computed off the stream.
        connection: How it joins.
        zero_last: Whether the second layer of every block starts at zero.

    Source: He et al. (2015b), "Delving deep into rectifiers", eq. 10.
    """

    name: str
    blocks: int
    width: int = 64
    branch: Branch
    connection: ConnectionDescription
    zero_last: bool = False

    def __post_init__(self):
        if self.width < 1 or self.blocks < 1:
            raise ValueError(
                f"width and blocks must be positive, got {self.width} and {self.blocks}"
            )
        if self.zero_last and isinstance(self.connection, Plain):
            raise ValueError(
                "zero_last needs a skip, since nothing passes plain layers of zeros; leave it out"
            )

    def build(self, ends: Ends) -> nn.Module:
        """Make it."""
        first = nn.Linear(math.prod(ends.inputs), self.width, bias=False)
        stem = nn.Sequential(nn.Flatten(), first)
        if not self.branch.preactivated:
            stem.append(self.branch.activation(self.width, 0))
        network = Network(stem, self._trunk(), nn.Linear(self.width, math.prod(ends.outputs)))
        inner = 2.0 if isinstance(self.branch, Rectified) else 1.0
        for module in network.modules():
            if isinstance(module, nn.Linear):
                gain = 1.0 if module in (first, network.head) else inner
                nn.init.normal_(module.weight, std=math.sqrt(gain / module.in_features))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.zero_last:
            zero_last_layers(network.trunk)
        return network

    def _trunk(self) -> Trunk:
        first = Place(width_in=self.width, width_out=self.width, depth=self.blocks, dimensions=0)
        blocks = [self._block(replace(first, index=index)) for index in range(self.blocks)]
        return Trunk(blocks, self.connection, self.branch.end(first))

    def _block(self, place: Place) -> Block:
        # Not build_block: there the first skip of a pre-activation network carries N(x), not x.
        connection = self.connection.build(place, Skip(self.branch.before(place)))
        return Block(connection, self.branch.build(place), self.branch.after(), place)


@final
@dataclass(frozen=True, kw_only=True)
class Design:
    """A kind of chain of which every depth can be made, and the rate it is trained at.

    Args:
        name: What charts call it.
        branch: What is computed off the stream.
        connection: How it joins.
        zero_last: Whether every block starts as its skip.
        rate: Learning rate of its trainings.
        trained_to: The deepest that is trained: sigmoid networks learn nothing at 20 layers, and
            at more their gradient is zero in single precision.
    """

    name: str
    branch: Branch
    connection: ConnectionDescription
    zero_last: bool = False
    rate: float
    trained_to: int = 10**6

    def chain(self, depth: int, width: int) -> Chain:
        """Describe the chain of so many layers.

        Raises:
            ValueError: If the depth is odd, or leaves no block between stem and head.
        """
        if depth % 2 or depth < 4:
            raise ValueError(
                f"a chain has stem, head and blocks of two layers, so its depth is even and at"
                f" least 4; got {depth}"
            )
        return Chain(
            name=f"{self.name}, {depth} layers",
            blocks=depth // 2 - 1,
            width=width,
            branch=self.branch,
            connection=self.connection,
            zero_last=self.zero_last,
        )


BARE, NORMED = Rectified(), Rectified(normed=True)
SLOW, FAST = 0.01, 0.1
DESIGNS = {
    "sigmoid": Design(
        name="plain sigmoid", branch=Squashed(), connection=Plain(), rate=SLOW, trained_to=20
    ),
    "plain": Design(name="plain ReLU", branch=BARE, connection=Plain(), rate=SLOW),
    "plain_norm": Design(name="plain BatchNorm", branch=NORMED, connection=Plain(), rate=FAST),
    "unscaled": Design(name="residual unscaled", branch=BARE, connection=Additive(), rate=SLOW),
    "scaled": Design(
        name="residual scaled", branch=BARE, connection=Additive(scale_by_depth=0.5), rate=SLOW
    ),
    "zero": Design(
        name="residual from zero",
        branch=BARE,
        connection=Additive(),
        zero_last=True,
        rate=SLOW,
    ),
    "residual_norm": Design(
        name="residual BatchNorm", branch=NORMED, connection=Additive(), rate=FAST
    ),
}
