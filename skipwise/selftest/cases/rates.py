"""Faults of the rate and of precision: updates that are lost, too small, too large, unstable."""

import torch
from torch import Tensor, nn

from skipwise.diagnosis import Level
from skipwise.randomness import generator
from skipwise.selftest.case import Case, Specimen
from skipwise.selftest.examples import CLASSES, batches, classes, moved
from skipwise.selftest.models import residual, scaled
from skipwise.selftest.practice import practised

BLOCKS = 4
RIGHT, LOW, HIGH = 3e-4, 1e-7, 0.1  # of Adam, whose first update is the rate for every weight
LOST = 5e-5  # below half a digit of bfloat16 for all weights but the smallest
STEPS = 20
ABOVE, BELOW = 2.1, 1.9  # the rate times the largest curvature; 2 is the limit
NEAR = 0.02  # of the length of the best weights


def lost(seed: int, *, faulty: bool) -> Specimen:
    """Train a network whose weights are kept in bfloat16, or in float32."""
    dtype = torch.bfloat16 if faulty else torch.float32
    model = residual(seed, BLOCKS, scaled(BLOCKS)).to(dtype)
    adam = torch.optim.Adam(model.parameters(), lr=LOST)
    return practised(model, seed, optimiser=adam, steps=STEPS, pairs=moved(batches(seed), dtype))


def low(seed: int, *, faulty: bool) -> Specimen:
    """Train a network at a rate thousands of times too low, or at one that fits."""
    return _by_adam(seed, LOW if faulty else RIGHT)


def high(seed: int, *, faulty: bool) -> Specimen:
    """Train a network at a rate hundreds of times too high, or at one that fits."""
    return _by_adam(seed, HIGH if faulty else RIGHT)


def _by_adam(seed: int, rate: float) -> Specimen:
    model = residual(seed, BLOCKS, scaled(BLOCKS))
    adam = torch.optim.Adam(model.parameters(), lr=rate)
    return practised(model, seed, optimiser=adam, steps=STEPS)


def unstable(seed: int, *, faulty: bool) -> Specimen:
    """Train the head of a frozen network by full batches, above or below the limit of its rate.

    With the squared error the loss is a parabola of the head's weights. They start beside its
    minimum, along the direction of the largest curvature λ, so that the way there is times
    ``1 − ηλ`` in every step.
    """
    model = residual(seed, BLOCKS, scaled(BLOCKS))
    model.requires_grad_(False)
    head = model.get_submodule("head").requires_grad_(True)
    inputs, labels = classes(seed)
    targets = nn.functional.one_hot(labels, CLASSES).float()
    sharpest = _place(model, head, inputs, targets, seed)
    rate = (ABOVE if faulty else BELOW) / sharpest
    descent = torch.optim.SGD(head.parameters(), lr=rate)
    return practised(
        model,
        seed,
        optimiser=descent,
        steps=STEPS,
        pairs=[(inputs, targets)],
        loss=nn.functional.mse_loss,
    )


def _place(
    model: nn.Sequential, head: nn.Module, inputs: Tensor, targets: Tensor, seed: int
) -> float:
    """Put the head beside its best weights, along the sharpest direction; give λ.

    With features Φ the loss ``1/(nk)·‖Φ·Wᵀ − Y‖²`` has the curvature ``2/(nk)·ΦᵀΦ`` for the row of
    each of the k outputs.
    """
    with torch.no_grad():
        features = model[:-1](inputs).double()
        weight = head.get_parameter("weight")
        values, vectors = torch.linalg.eigh(2 / targets.numel() * features.mT @ features)
        best = torch.linalg.lstsq(features, targets.double()).solution.mT
        start = torch.randn(len(weight), generator=generator(seed, "selftest", "start"))
        beside = NEAR * best.norm() * torch.outer(start / start.norm(), vectors[:, -1])
        weight.copy_(best + beside)
    return values[-1].item()


RATES = (
    Case(
        name="lost",
        rule="V2",
        build=lost,
        difference="weights in bfloat16, in float32",
        theory="an update below half of the last digit, below 2^-9 of the weight, changes nothing",
    ),
    Case(
        name="rate-low",
        rule="V3",
        build=low,
        difference=f"rate {LOW:g}, {RIGHT:g}",
        theory="Adam's first update is the rate for each weight, 6e-7 of their size",
        least=Level.WARN,
    ),
    Case(
        name="rate-high",
        rule="V3",
        build=high,
        difference=f"rate {HIGH:g}, {RIGHT:g}",
        theory="Adam's first update is the rate for each weight, 57 % of their size",
        least=Level.WARN,
    ),
    Case(
        name="unstable",
        rule="V4",
        build=unstable,
        difference=f"rate {ABOVE:g}/λ, {BELOW:g}/λ",
        theory="on a parabola the distance is times 1 − ηλ in a step: −1.1 grows, −0.9 falls",
    ),
)
