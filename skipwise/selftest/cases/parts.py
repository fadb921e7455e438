"""Faults of single parts: a weight, a layer of units, a branch, the statistics of a norm."""

import math

import torch
from torch import nn

from skipwise.diagnosis import Level
from skipwise.selftest.case import Case, Specimen
from skipwise.selftest.examples import batches
from skipwise.selftest.models import WIDTH, linear, network, normed, residual, scaled
from skipwise.selftest.practice import practised, untrained

BLOCKS = 6
PLANTED = 2  # the block that is faulty
DEEP_ENOUGH = -10.0  # a bias below all that a layer adds
STALE = 1e-4  # share of a batch in the running statistics
WIDE = 8.0  # gain of weights before a norm, so that no variance is 1 as the statistics start
SLOW = 0.005  # rate, at which the statistics follow the weights
NOISY = 1.0  # classes that overlap, so that the loss stays away from zero
STEPS, FEW = 100, 40


def not_finite(seed: int, *, faulty: bool) -> Specimen:
    """Make a residual network of which one weight is NaN."""
    model = residual(seed, BLOCKS, scaled(BLOCKS))
    if faulty:
        with torch.no_grad():
            model.get_parameter(f"blocks.{PLANTED}.branch.0.weight")[0, 0] = math.nan
    return untrained(model, batches(seed))


def dead(seed: int, *, faulty: bool) -> Specimen:
    """Make a residual network with biases, those of one layer at −10 or at 0."""

    def branch(draw: torch.Generator) -> nn.Module:
        one = linear(WIDTH, WIDTH, draw, gain=2, bias=True)
        return nn.Sequential(one, nn.ReLU(), linear(WIDTH, WIDTH, draw, gain=1))

    model = network(seed, branch, scaled(BLOCKS), blocks=BLOCKS)
    if faulty:
        nn.init.constant_(model.get_parameter(f"blocks.{PLANTED}.branch.0.bias"), DEEP_ENOUGH)
    return untrained(model, batches(seed))


def ignored(seed: int, *, faulty: bool) -> Specimen:
    """Train a network of which one branch starts at zero, and may not learn or may."""
    model = residual(seed, BLOCKS, scaled(BLOCKS))
    last = model.get_parameter(f"blocks.{PLANTED}.branch.2.weight")
    nn.init.zeros_(last)
    last.requires_grad_(not faulty)
    return practised(model, seed, steps=STEPS)


def unused(seed: int, *, faulty: bool) -> Specimen:
    """Train a network whose branches start at zero, all but one of which may not learn, or may."""
    model = residual(seed, BLOCKS, scaled(BLOCKS))
    for number in range(BLOCKS):
        last = model.get_parameter(f"blocks.{number}.branch.2.weight")
        nn.init.zeros_(last)
        last.requires_grad_(number == PLANTED or not faulty)
    return practised(model, seed, steps=STEPS)


def stale(seed: int, *, faulty: bool) -> Specimen:
    """Train a network whose norms take in a ten-thousandth of a batch, or a tenth."""
    momentum = STALE if faulty else 0.1
    model = normed(seed, BLOCKS, momentum=momentum, first=False, gain=WIDE)
    slow = torch.optim.SGD(model.parameters(), lr=SLOW, momentum=0.9)
    pairs = batches(seed, apart=NOISY)
    return practised(model, seed, optimiser=slow, steps=FEW, pairs=pairs)


PARTS = (
    Case(
        name="not-finite",
        rule="V0",
        build=not_finite,
        difference="one weight NaN, a number",
        theory="NaN times anything is NaN, so every output is",
    ),
    Case(
        name="dead",
        rule="V5",
        build=dead,
        difference="biases of one layer −10, 0",
        theory="W·x + b < 0 for every unit and example, so all are 0 and so is their gradient",
    ),
    Case(
        name="ignored",
        rule="V6",
        build=ignored,
        difference="the last layer of one branch frozen at zero, free",
        theory="F(x) = 0 for every x, and removing it changes nothing",
    ),
    Case(
        name="unused",
        rule="V7",
        build=unused,
        difference="all branches but one frozen at zero, free",
        theory="every path passes at most one branch, so the effective depth is its share",
        least=Level.WARN,
    ),
    Case(
        name="stale",
        rule="V11",
        build=stale,
        difference="momentum of BatchNorm 1e-4, 0.1",
        theory="the statistics have come 1 − (1 − 1e-4)^40 = 0.4 % of their way",
    ),
)
