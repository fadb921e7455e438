"""Healthy networks that look faulty to a careless rule: silent by design, finished, or normed."""

import torch
from torch import Tensor, nn

from skipwise.branches import Basic, Branch, Fixup, PreActivation
from skipwise.connections import Additive
from skipwise.networks import ResNet
from skipwise.randomness import seeded
from skipwise.selftest.case import Design, Specimen
from skipwise.selftest.examples import CLASSES, batches, classes, in_batches, pictures
from skipwise.selftest.models import normed, residual, scaled
from skipwise.selftest.practice import FIRST_RATE, practised, untrained
from skipwise.shapes import Ends

SIDE, RATE = 6, 0.01  # of pictures, and of their networks
BLOCKS = 6
SMALL = 1e-8  # a factor on the loss
APART = 6.0  # classes that can be told apart wholly
EARLY, LATE = 20, 200  # updates


def _convolutional(seed: int, branch: Branch, *, zero_last: bool = False) -> nn.Module:
    network = ResNet(name="small", blocks=(2, 2), width=8, branch=branch, zero_last=zero_last)
    with seeded(seed, "selftest", "weights"):
        return network.build(Ends(inputs=(1, SIDE, SIDE), outputs=(CLASSES,)))


def fixup(seed: int) -> Specimen:
    """Make a Fixup network at its start, where the head too is zero."""
    return untrained(_convolutional(seed, Fixup()), pictures(seed, side=SIDE), rate=RATE)


def zero_gamma(seed: int) -> Specimen:
    """Make a residual network whose branches end in a norm with γ = 0, at its start."""
    model = _convolutional(seed, Basic(), zero_last=True)
    return untrained(model, pictures(seed, side=SIDE), rate=RATE)


def resnet_v1(seed: int) -> Specimen:
    """Train a residual network with the ReLU after the sum for some steps."""
    return practised(
        _convolutional(seed, Basic()), seed, steps=EARLY, pairs=pictures(seed, side=SIDE)
    )


def resnet_v2(seed: int) -> Specimen:
    """Make a residual network with norm and ReLU first, at its start."""
    return untrained(_convolutional(seed, PreActivation()), pictures(seed, side=SIDE), rate=RATE)


def rezero(seed: int) -> Specimen:
    """Make a network whose branches are scaled by a learned number, which starts at zero."""
    model = residual(seed, BLOCKS, Additive(scale=0.0, learned=True))
    return untrained(model, batches(seed))


def late(seed: int) -> Specimen:
    """Train a network with BatchNorm until its loss and its gradient are nearly nothing."""
    pairs = in_batches(*classes(seed, apart=APART))
    validation = in_batches(*classes(seed, apart=APART, part="validation"))
    model = normed(seed, BLOCKS)
    return practised(model, seed, steps=LATE, pairs=pairs, validation=validation)


def small_loss(seed: int) -> Specimen:
    """Make a network whose loss is in another unit, 1e-8 times as large, with the rate to match."""
    model = residual(seed, BLOCKS, scaled(BLOCKS))
    return untrained(model, batches(seed), loss=_in_another_unit, rate=FIRST_RATE / SMALL)


def _in_another_unit(output: Tensor, targets: Tensor) -> Tensor:
    return SMALL * nn.functional.cross_entropy(output, targets)


def finetuned(seed: int) -> Specimen:
    """Train the last block and the head of a network, the rest being frozen."""
    model = residual(seed, BLOCKS, scaled(BLOCKS))
    free = (model.get_submodule(f"blocks.{BLOCKS - 1}"), model.get_submodule("head"))
    model.requires_grad_(False)
    for part in free:
        part.requires_grad_(True)
    learning = [p for p in model.parameters() if p.requires_grad]
    rule = torch.optim.AdamW(learning, lr=1e-3)
    return practised(model, seed, optimiser=rule, steps=EARLY)


DESIGNS = (
    Design(name="fixup", build=fixup, lure="no gradient reaches any block in the first step"),
    Design(name="zero-gamma", build=zero_gamma, lure="branches write and bring back nothing"),
    Design(name="resnet-v1", build=resnet_v1, lure="ReLU after the sum, so the mean grows"),
    Design(name="resnet-v2", build=resnet_v2, lure="the stream grows with every block"),
    Design(name="rezero", build=rezero, lure="branches write and bring back nothing"),
    Design(name="late", build=late, lure="a gradient of almost nothing, states of low rank"),
    Design(name="small-loss", build=small_loss, lure="gradients below every absolute threshold"),
    Design(name="finetuned", build=finetuned, lure="weights that do not move"),
)
