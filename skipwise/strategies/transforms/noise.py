"""Gradient noise, which grows weaker as the run goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from skipwise.strategies.transforms.transform import (
    Applied,
    GradientTransform,
    Learning,
    State,
    gradients,
    total_norm,
)


@dataclass(frozen=True, kw_only=True)
class GradientNoise(GradientTransform):
    """g ← g + N(0, σ_t²), with σ_t² = variance/(1 + t)^fading for the update after t.

    It stands last: a clip after it would scale the noise by the gradient. It is drawn from torch's
    generator, which is seeded for each step, so every call in a step and every process adds the
    same.

    Args:
        variance: η; the paper has 0.01, 0.3 and 1.
        fading: γ.

    Source: Neelakantan et al. (2015), "Adding gradient noise improves learning for very deep
    networks", section 3.
    """

    place = 4

    variance: float = 0.01
    fading: float = 0.55

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.variance < inf:
            raise ValueError(
                f"variance of GradientNoise must be positive and finite, got {self.variance}; leave"
                " it out to add none"
            )
        if not 0 <= self.fading < inf:
            raise ValueError(
                f"fading of GradientNoise must not be negative or infinite, got {self.fading}"
            )

    def apply(self, learning: Sequence[Learning], norm: Tensor, state: State, step: int) -> Applied:
        """Add the noise."""
        deviation = (self.variance / (1 + step) ** self.fading) ** 0.5
        for gradient in gradients(learning):
            gradient.add_(torch.randn_like(gradient), alpha=deviation)
        return Applied(norm=total_norm(learning))
