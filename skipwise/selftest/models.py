"""Small networks on vectors: stem → blocks → head, every weight drawn from one seed.

Weights are normal with variance gain/inputs and there are no biases unless a case plants them, so
that theory speaks of them exactly: a layer of gain 2 before or after a ReLU keeps the second
moment, one of gain 1 alone does.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from skipwise.connections import Additive, ConnectionDescription, Plain
from skipwise.networks import Residual
from skipwise.randomness import generator
from skipwise.selftest.examples import CLASSES, FEATURES

WIDTH = 64


def linear(
    inputs: int, outputs: int, draw: torch.Generator, *, gain: float, bias: bool = False
) -> nn.Linear:
    """Make a linear map, ``Var W = gain/inputs``, without bias or with one of zeros."""
    # torch's own start would draw from the caller's random numbers.
    made = cast(nn.Linear, nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias))
    nn.init.normal_(made.weight, std=math.sqrt(gain / inputs), generator=draw)
    if bias:
        nn.init.zeros_(made.bias)
    return made


def network(
    seed: int,
    branch: Callable[[torch.Generator], nn.Module],
    connection: ConnectionDescription | None = None,
    *,
    blocks: int,
    width: int = WIDTH,
    after: Callable[[], nn.Module] | None = None,
) -> nn.Sequential:
    """Make stem → blocks → head.

    Args:
        seed: Of all weights; they are the same whatever the connection.
        branch: Makes a block's branch, drawing its weights from the generator.
        connection: How it joins the stream; the sum if None.
        blocks: How many.
        width: Of the stream.
        after: Makes what follows the sum, or None.
    """
    draw = generator(seed, "selftest", "weights")
    stem = linear(FEATURES, width, draw, gain=1)
    made = [
        Residual(branch(draw), connection, activation=None if after is None else after())
        for _ in range(blocks)
    ]
    head = linear(width, CLASSES, draw, gain=1)
    return nn.Sequential(OrderedDict(stem=stem, blocks=nn.Sequential(*made), head=head))


def plain(
    seed: int,
    layers: int,
    *,
    factor: float = 1.0,
    activation: Callable[[], nn.Module] = nn.ReLU,
    width: int = WIDTH,
) -> nn.Sequential:
    """Make a plain network whose blocks are one layer, ``x → φ(W·x)`` with ``W = factor·He``."""

    def branch(draw: torch.Generator) -> nn.Module:
        layer = linear(width, width, draw, gain=2)
        with torch.no_grad():
            layer.weight.mul_(factor)
        return nn.Sequential(layer, activation())

    return network(seed, branch, Plain(), blocks=layers, width=width)


def residual(
    seed: int, blocks: int, connection: ConnectionDescription | None = None, *, width: int = WIDTH
) -> nn.Sequential:
    """Make a network of branches ``F(x) = W₂·ReLU(W₁·x)`` that keep the second moment."""

    def branch(draw: torch.Generator) -> nn.Module:
        one = linear(width, width, draw, gain=2)
        return nn.Sequential(one, nn.ReLU(), linear(width, width, draw, gain=1))

    return network(seed, branch, connection, blocks=blocks, width=width)


def scaled(blocks: int) -> Additive:
    """Give the sum ``x + F(x)/√L``, which keeps the signal of any depth within a factor e."""
    return Additive(scale=blocks**-0.5)


def normed(
    seed: int, blocks: int, *, momentum: float = 0.1, first: bool = True, gain: float = 2.0
) -> nn.Sequential:
    """Make a residual network with BatchNorm: v2 (norm and ReLU first), or v1 (ReLU after the sum).

    Args:
        seed: Of all weights.
        blocks: How many.
        momentum: Share of a new batch in the running statistics.
        first: v2, or v1.
        gain: Of the weights; where a norm follows it changes what the norm must take out, and
            nothing else.
    """

    def norm() -> nn.Module:
        return nn.BatchNorm1d(WIDTH, momentum=momentum)

    def branch(draw: torch.Generator) -> nn.Module:
        one, two = (linear(WIDTH, WIDTH, draw, gain=gain) for _ in range(2))
        if first:
            return nn.Sequential(norm(), nn.ReLU(), one, norm(), nn.ReLU(), two)
        return nn.Sequential(one, norm(), nn.ReLU(), two, norm())

    return network(seed, branch, blocks=blocks, after=None if first else nn.ReLU)
