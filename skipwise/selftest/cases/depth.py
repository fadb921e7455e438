"""Faults of depth, at the start of training: what signal and gradient become on their way."""

from typing import final

import torch
from torch import Tensor, nn

from skipwise.connections import Additive
from skipwise.diagnosis import Level
from skipwise.selftest.case import Case, Specimen
from skipwise.selftest.examples import batches
from skipwise.selftest.models import WIDTH, plain, residual, scaled
from skipwise.selftest.practice import untrained

LAYERS = 20
STEEP = 1.5  # times He's standard deviation
SHORT, TEN = 0.7, 10  # likewise, and layers: too little, and the gradient does not vanish yet
UNSCALED = 30  # blocks
SHALLOW = 6  # layers, after which gradients behind ReLUs are still alike
FREQUENCY = 30.0  # of the sine


def vanishing(seed: int, *, faulty: bool) -> Specimen:
    """Make twenty plain layers of sigmoids, or of ReLUs."""
    model = plain(seed, LAYERS, activation=nn.Sigmoid if faulty else nn.ReLU)
    return untrained(model, batches(seed))


def exploding(seed: int, *, faulty: bool) -> Specimen:
    """Make twenty plain layers without norm and bias at He's law times 1.5, or at He's law."""
    model = plain(seed, LAYERS, factor=STEEP if faulty else 1.0)
    return untrained(model, batches(seed))


def unscaled(seed: int, *, faulty: bool) -> Specimen:
    """Make thirty residual blocks without norm, added as they are or over √L."""
    model = residual(seed, UNSCALED, Additive() if faulty else scaled(UNSCALED))
    return untrained(model, batches(seed))


def short_start(seed: int, *, faulty: bool) -> Specimen:
    """Make ten plain layers without norm and bias at He's law times 0.7, or at He's law."""
    model = plain(seed, TEN, factor=SHORT if faulty else 1.0, width=2 * WIDTH)
    return untrained(model, batches(seed))


@final
class Sine(nn.Module):
    """``sin(ω·x)``: all but random where ω·x passes many periods."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute it."""
        return torch.sin(FREQUENCY * x)


def shattered(seed: int, *, faulty: bool) -> Specimen:
    """Make six plain layers of fast sines, or of ReLUs."""
    model = plain(seed, SHALLOW, activation=Sine if faulty else nn.ReLU)
    return untrained(model, batches(seed))


def collapsed(seed: int, *, faulty: bool) -> Specimen:
    """Make ten plain layers of ReLUs, one of which has a weight of rank 1, or of full rank."""
    model = plain(seed, TEN, width=2 * WIDTH)
    if faulty:
        weight = model.get_parameter(f"blocks.{SHALLOW}.branch.0.weight")
        with torch.no_grad():
            length = weight.norm()
            weight.copy_(torch.outer(weight[:, 0], weight[0]))
            weight.mul_(length / weight.norm())
    return untrained(model, batches(seed))


DEPTH = (
    Case(
        name="vanish",
        rule="V1",
        build=vanishing,
        difference="sigmoid, ReLU",
        theory="σ' ≤ ¼, so ‖g₀‖ ≤ 0.25^L · Π‖W_l‖ · ‖g_L‖",
    ),
    Case(
        name="explode",
        rule="V1",
        build=exploding,
        difference="weights times 1.5, times 1",
        theory="ReLU keeps factors: the second moment is 2.25^L times the twin's, exactly",
    ),
    Case(
        name="unscaled",
        rule="V1",
        build=unscaled,
        difference="branches added as they are, over √L",
        theory="E q_L/q₀ = E ‖g₀‖²/‖g_L‖² = 2^L; the twin's is (1 + 1/L)^L < e",
    ),
    Case(
        name="start",
        rule="V13",
        build=short_start,
        difference="weights times 0.7, times 1",
        theory="the second moment is 0.49^L = 8e-4 of the twin's, which no design has",
        least=Level.WARN,
    ),
    Case(
        name="shattered",
        rule="V8",
        build=shattered,
        difference="sin 30x, ReLU",
        theory="behind sin ωx a cosine c becomes e^(−ω²q(1 − c)) of itself, behind ReLU 1 − θ/π",
        least=Level.WARN,
    ),
    Case(
        name="collapse",
        rule="V9",
        build=collapsed,
        difference="one weight of rank 1, of full rank",
        theory="behind it the states lie on two rays, so their rank is 2 of 128 at most",
        least=Level.WARN,
    ),
)
