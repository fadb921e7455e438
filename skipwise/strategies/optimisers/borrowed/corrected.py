"""ADOPT and MARS: Adam with its square taken one step earlier, and with a corrected gradient."""

from dataclasses import dataclass
from typing import ClassVar

from torch.optim import Optimizer

from skipwise.strategies.optimisers.adam import MomentEstimating
from skipwise.strategies.optimisers.borrowed.loading import load
from skipwise.strategies.optimisers.optimiser import (
    Groups,
    check_memories,
    check_not_negative,
    check_positive,
)


@dataclass(frozen=True, kw_only=True)
class ADOPT(MomentEstimating):
    """m ← β₁m + (1 − β₁) clip(g/max(√v, ε), ±tᵃ), w ← w − ηλw − ηm, then v ← β₂v + (1 − β₂)g².

    The first step only begins v with g² (and decays); t counts those after it, from 1. No moment is
    corrected for its start, so a number whose first gradient is zero, as in branches that start at
    zero, moves by the clip alone until its square has grown.

    Args:
        growth: a, of the clip.

    Source: Taniguchi et al. (2024), "ADOPT: modified Adam can converge with any β₂ with the optimal
    rate", algorithm 2. Differs: the package decays in the first step too, and counts the steps of a
    group: a parameter that joins in later begins with a square of zero. Its clip would be
    (t + 1)ᵃ; it gets its own here.
    """

    state_in_groups: ClassVar[tuple[str, ...]] = ("step",)

    beta2: float = 0.9999
    epsilon: float = 1e-6
    growth: float = 0.25

    def __post_init__(self):
        super().__post_init__()
        check_not_negative(growth=self.growth)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make it."""
        return load(
            "adopt",
            groups,
            lr=rate,
            clip_lambda=lambda step: (step - 1) ** self.growth,  # the first step counts as 1
            weight_decay=0.0,
            weight_decouple=True,
            fixed_decay=False,
            **self.options(),
        )


@dataclass(frozen=True, kw_only=True)
class MARS(MomentEstimating):
    """Adam of c = g + γ β₁/(1 − β₁) (g − g'), g' the gradient before; c/‖c‖ where ‖c‖ > 1.

    w ← w − ηλw − η m̂ √(1 − β₂ᵗ)/(√(v + 10⁻¹⁵) + ε), norms of one parameter, g' = 0 at first.
    Vectors (biases and norms) are updated by the gradient itself, with memories and a rate of their
    own.

    Args:
        correction: γ.
        vector_beta1: β₁ of vectors.
        vector_beta2: β₂ of vectors.
        share: Vectors learn at so much of the rate.

    Source: Yuan et al. (2024), "MARS: unleashing the power of variance reduction for training large
    models", algorithm 2 (MARS-AdamW), approximate: g' is of the batch before. Differs: 10⁻¹⁵ under
    the root, which the package adds, and ε beside √v, before its correction. The package decays
    vectors by a number of its own, 0.1, unless it is told otherwise, as it is here.
    """

    beta1: float = 0.95
    beta2: float = 0.99
    correction: float = 0.025
    vector_beta1: float = 0.9
    vector_beta2: float = 0.95
    share: float = 1.0

    is_elementwise: ClassVar[bool] = False
    state_in_groups: ClassVar[tuple[str, ...]] = ("step",)

    def __post_init__(self):
        super().__post_init__()
        check_memories(vector_beta1=self.vector_beta1, vector_beta2=self.vector_beta2)
        check_not_negative(correction=self.correction)
        check_positive(share=self.share)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make it."""
        own = [{**g, "lr": rate, "weight_decay_1d": g.get("weight_decay", 0.0)} for g in groups]
        return load(
            "mars",
            own,
            lr=1.0,
            lr_1d=self.share,  # the package keeps the quotient of both
            gamma=self.correction,
            mars_type="adamw",
            optimize_1d=False,
            betas_1d=(self.vector_beta1, self.vector_beta2),
            weight_decay=0.0,
            weight_decouple=True,
            fixed_decay=False,
            ams_bound=False,
            cautious=False,
            **self.options(),
        )
