"""Rates of their own for every number or row, without a mean gradient: RMSprop and its elders."""

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import torch
from torch.optim import Optimizer

from skipwise.strategies.optimisers.optimiser import (
    Groups,
    Optimiser,
    can_fuse,
    check_memories,
    check_not_negative,
    check_positive,
)


@dataclass(frozen=True, kw_only=True)
class RMSprop(Optimiser):
    """v ← αv + (1 − α)g², u = g/(√v + ε), b ← μb + u, w ← w − ηb. The decay λw is part of g.

    Args:
        memory: α, of the mean square.
        epsilon: ε.
        momentum: μ; 0 takes u as it is.
        centred: Whether the square of the mean gradient is taken from v under the root.

    Source: Tieleman, Hinton (2012), lecture 6.5; centred: Graves (2013), eq. 38 to 45. In torch's
    form, with ε outside the root.
    """

    is_elementwise: ClassVar[bool] = True

    memory: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    centred: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_memories(memory=self.memory, momentum=self.momentum)
        check_positive(epsilon=self.epsilon)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch.optim.RMSprop."""
        return torch.optim.RMSprop(
            groups,
            lr=rate,
            alpha=self.memory,
            eps=self.epsilon,
            momentum=self.momentum,
            centered=self.centred,
        )


@dataclass(frozen=True, kw_only=True)
class Adagrad(Optimiser):
    """s ← s + g², w ← w − η/(1 + (t − 1)κ) · g/(√s + ε). The decay λw is part of g.

    Args:
        rate_decay: κ: the rate falls as 1/(1 + (t − 1)κ), beside the schedule.
        start: What the sum s begins with.
        epsilon: ε.

    Source: Duchi, Hazan, Singer (2011), "Adaptive subgradient methods", the diagonal case; torch's
    form.
    """

    is_elementwise: ClassVar[bool] = True

    rate_decay: float = 0.0
    start: float = 0.0
    epsilon: float = 1e-10

    def __post_init__(self):
        super().__post_init__()
        check_not_negative(rate_decay=self.rate_decay, start=self.start)
        check_positive(epsilon=self.epsilon)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch.optim.Adagrad."""
        return torch.optim.Adagrad(
            groups,
            lr=rate,
            lr_decay=self.rate_decay,
            initial_accumulator_value=self.start,
            eps=self.epsilon,
            fused=can_fuse(groups, on=("cpu",)) or None,  # not every torch has it for GPUs
        )


@dataclass(frozen=True, kw_only=True)
class Adafactor(Optimiser):
    """Adam's second moment from its row and column means, relative to the size of the weights.

    With β₂ₜ = 1 − t^c: R and C, the means of g² over the last and over the one but last axis, are
    remembered by β₂ₜ, v = RC/mean(R), u = g/max(√v, ε₁), and
    w ← w − ηλw − α u/max(1, RMS(u)/d) with α = max(ε₂, RMS(w))·min(η, 1/√t). Vectors keep v itself.

    Args:
        decay_power: c, negative.
        least: ε₁; None is the type's own rounding.
        least_scale: ε₂.
        clip: d, the root mean square that an update may have, at least 1.

    Source: Shazeer, Stern (2018), algorithm 4, in torch's form: for filters the last two axes are
    height and width, so only 3 × 3 numbers are put together from 3 + 3.
    """

    decay_power: float = -0.8
    least: float | None = None
    least_scale: float = 1e-3
    clip: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not -1 <= self.decay_power < 0:
            raise ValueError(f"decay_power must lie in [-1, 0), got {self.decay_power}")
        check_positive(least_scale=self.least_scale)
        if not 1 <= self.clip < inf:
            raise ValueError(f"clip must be at least 1 and finite, got {self.clip}")
        if self.least is not None:
            check_positive(least=self.least)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch.optim.Adafactor."""
        return torch.optim.Adafactor(
            groups,
            lr=rate,
            beta2_decay=self.decay_power,
            eps=(self.least, self.least_scale),
            d=self.clip,
            weight_decay=0.0,
        )
