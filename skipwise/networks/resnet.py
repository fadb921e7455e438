"""Residual networks of convolutions: a stem, stages of blocks, a pooled head.

Every stage after the first doubles the width and halves the resolution.
"""

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import final

import torch
from torch import nn

from skipwise.branches import Basic, Branch
from skipwise.connections import (
    Additive,
    ConnectionDescription,
    Padded,
    Plain,
    Shortcut,
    innermost,
)
from skipwise.layers import CONVOLUTIONS, NORMS, check_dropout, dropout
from skipwise.networks.network import Network, NetworkDescription
from skipwise.networks.stem import SmallStem, StemDescription
from skipwise.networks.trunk import Block, Trunk, build_trunk
from skipwise.shapes import Ends, Outputs, Place, Stream

LAYERS = (*CONVOLUTIONS, *NORMS, nn.Linear)


@dataclass(frozen=True, kw_only=True)
class ResNet(NetworkDescription):
    """A residual network for images (or signals, or volumes) and its classes.

    Args:
        name: What tables and folders call it.
        blocks: Blocks in each stage; stage s has width ``width · 2^s`` times the branch's
            expansion and, after the first, starts with stride 2.
        width: Of the first stage, before the expansion.
        stem_width: Of the stem; that of the first stage if None.
        stem: From the input to the stream.
        branch: What is computed off the stream.
        connection: How it joins.
        shortcut: The identity where the shape changes.
        zero_last: Whether the last layer of every branch (its norm's γ, or the convolution of a
            pre-activation branch) starts at zero, so that every block starts as its skip.
        dropout: Probability that the head loses a channel's mean, in training.

    Source: He et al. (2015), table 1 and section 4.2; zero_last: Goyal et al. (2017), section 5.1.
    """

    name: str
    blocks: tuple[int, ...]
    width: int = 16
    stem_width: int | None = None
    stem: StemDescription = field(default_factory=SmallStem)
    branch: Branch = field(default_factory=Basic)
    connection: ConnectionDescription = field(default_factory=Additive)
    shortcut: Shortcut = field(default_factory=Padded)
    zero_last: bool = False
    dropout: float = 0.0

    def __post_init__(self):
        if not self.blocks or min(self.blocks) < 1:
            raise ValueError(
                f"blocks must give at least one block to every stage, got {self.blocks}"
            )
        if self.width < 1:
            raise ValueError(f"width must be positive, got {self.width}")
        check_dropout(self.dropout)
        if self.zero_last or self.branch.starts_at_zero:
            check_learns(self.name, self.connection)
            if isinstance(innermost(self.connection), Plain):
                raise ValueError(
                    f"{self.name} has branches that start at zero, and without the skip neither"
                    " signal nor gradient passes them; choose another connection than Plain, or"
                    " branches that do not start at zero"
                )

    def build(self, ends: Ends) -> nn.Module:
        """Make the network, with He's initialisation.

        Raises:
            ValueError: If examples have no axes of space, or more than three, or are smaller than
                the strides of the network allow.
        """
        space = ends.inputs[1:]
        if not 1 <= len(space) <= 3:
            raise ValueError(
                f"{self.name} convolves and needs images or signals;"
                f" examples of shape {ends.inputs} go to mlp"
            )
        self._check_size(ends)
        places = self.places(len(space))
        stem = self.stem.build(
            ends,
            places[0].width_in,
            activated=not self.branch.preactivated,
            activation=self.branch.activation,
        )
        trunk = build_trunk(places, self.branch, self.connection, self.shortcut)
        head = Head(places[-1].width_out, ends.outputs, dropped=self.dropout)
        network = Network(stem, trunk, head)
        self._initialise(network)
        return network

    def _initialise(self, network: Network) -> None:
        initialise_he(network)
        for block in network.trunk.blocks:
            if isinstance(block, Block):
                scale_inner_layers(block.branch, self.branch.gain(block.place))
        if self.zero_last or self.branch.starts_at_zero:
            zero_last_layers(network.trunk)
        if self.branch.starts_at_zero:
            for parameter in network.head.parameters():
                nn.init.zeros_(parameter)

    def _check_size(self, ends: Ends) -> None:
        """Ask that one position of the last stage stand within the input.

        It stands for as many positions a side as the strides multiply to. On less, none is free of
        padding; on far less, strides find a single position and halve nothing.

        Raises:
            ValueError: If the input is smaller.
        """
        side, halved = min(ends.inputs[1:]), 2 ** (len(self.blocks) - 1)
        needs = self.stem.stride(ends) * halved
        if side >= needs:
            return
        remedy = f"set network.stem=SmallStem, which needs {halved}"
        if halved > side:
            fewer = ",".join(map(str, self.blocks[: side.bit_length()]))
            remedy = f"set network.blocks=[{fewer}] for fewer stages"
            remedy += ", and network.stem=SmallStem" if needs > halved else ""
        raise ValueError(
            f"the shorter side of the input is {side}, but {self.name} needs at least {needs},"
            f" since its strides divide the resolution by {needs}; take larger inputs, of picture"
            f" files by --size {needs}, or {remedy}"
        )

    def notes(self, ends: Ends) -> tuple[str, ...]:
        """Say which stem was chosen, where there was a choice."""
        chosen = self.stem.chosen(ends)
        if chosen is self.stem:
            return ()
        side = min(ends.inputs[1:], default=0)
        return (f"{chosen.words}, since the shorter side of the input is {side}",)

    def places(self, dimensions: int = 2) -> list[Place]:
        """Say where each block stands."""
        stages = [stage for stage, blocks in enumerate(self.blocks) for _ in range(blocks)]
        widths = [self.width * self.branch.expansion * 2**stage for stage in stages]
        stem = self.stem_width or self.width
        return [
            Place(
                width_in=before,
                width_out=after,
                stride=2 if index and stages[index] > stages[index - 1] else 1,
                index=index,
                depth=len(stages),
                dimensions=dimensions,
            )
            for index, (before, after) in enumerate(pairwise([stem, *widths]))
        ]


@final
class Head(nn.Module):
    """The mean over space, dropout, and a linear map.

    Args:
        width: Of the stream.
        outputs: The shape of the outputs.
        dropped: Probability of the dropout.
    """

    def __init__(self, width: int, outputs: tuple[int, ...], *, dropped: float = 0.0):
        super().__init__()
        self.dropout = dropout(dropped)
        self.linear = nn.Linear(width, math.prod(outputs))
        self.outputs = tuple(outputs)

    def forward(self, x: Stream) -> Outputs:
        """Give the outputs, shape ``(batch, *outputs)``."""
        found = self.linear(self.dropout(x.flatten(2).mean(2)))
        return found if len(self.outputs) == 1 else found.unflatten(1, self.outputs)


def check_learns(name: str, connection: ConnectionDescription) -> None:
    """Refuse a scale of zero before branches that start at zero, which never learn then.

    Raises:
        ValueError: If that is the connection.
    """
    inner = innermost(connection)
    if isinstance(inner, Additive) and inner.scale == 0:
        raise ValueError(
            f"the branches of {name} start at zero, and behind a scale of zero neither of the two"
            " ever has a gradient; choose another scale, or branches that do not start at zero"
        )


def plain_twin(network: ResNet) -> ResNet:
    """Give the same network without skips; shortcuts are left out with them.

    Raises:
        ValueError: If it has no skips, or its branches start at zero, so that nothing would pass.

    Source: He et al. (2015), section 3.3, "Plain Network".
    """
    if isinstance(network.connection, Plain):
        raise ValueError(f"{network.name} is plain already")
    return replace(network, name=f"plain_{network.name}", connection=Plain())


def initialise_he(network: nn.Module) -> None:
    """Draw every convolution from He's N(0, 2 / (k·c_out)), fan-out, with k kernel positions.

    Source: He et al. (2015b), "Delving deep into rectifiers", eq. 14.
    """
    for module in network.modules():
        if isinstance(module, CONVOLUTIONS):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def scale_inner_layers(branch: nn.Module, gain: float) -> None:
    """Multiply the weights of all convolutions of a branch but its last."""
    layers = [module for module in branch.modules() if isinstance(module, CONVOLUTIONS)]
    with torch.no_grad():
        for layer in layers[:-1]:
            layer.weight.mul_(gain)


def zero_last_layers(trunk: Trunk) -> None:
    """Let the last layer of every branch start at zero: every block is then its skip.

    Raises:
        ValueError: If a branch ends in neither a norm nor a convolution nor a linear map.
    """
    for block in trunk.blocks:
        layers = [m for m in block.get_submodule("branch").modules() if not list(m.children())]
        last = next((m for m in reversed(layers) if isinstance(m, LAYERS)), None)
        if last is None:
            raise ValueError("zero_last found no layer with a weight in a branch; leave it out")
        nn.init.zeros_(last.get_parameter("weight"))
