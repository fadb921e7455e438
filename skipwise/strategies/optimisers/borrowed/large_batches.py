"""LARS and LAMB: every layer moves by a share of its own size, for very large batches."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch.optim import Optimizer

from skipwise.strategies.optimisers.adam import MomentEstimating
from skipwise.strategies.optimisers.borrowed.loading import Sparing, load
from skipwise.strategies.optimisers.optimiser import (
    Groups,
    Optimiser,
    check_memories,
    check_nesterov,
    check_positive,
)

SPARED = ("norm", "bias", "scale")  # roles whose size LAMB does not look at


@dataclass(frozen=True, kw_only=True)
class LARS(Optimiser):
    """v ← μv + τ‖w‖/(‖g‖ + λ‖w‖)·(g + λw), w ← w − ηv; Nesterov as in SGD.

    The norms are those of one parameter. Vectors (biases and norms) have the factor one and do not
    decay; where ‖w‖ is zero the factor is one too.

    Args:
        momentum: μ, in [0, 1).
        nesterov: Look ahead along the velocity; needs momentum.
        trust: τ.

    Source: You, Gitman, Ginsburg (2017), "Large batch training of convolutional networks",
    algorithm 1. Differs: the rate η stands outside the velocity, as in torch. The package's class
    overwrites the gradients, so it gets copies.
    """

    state_in_groups: ClassVar[tuple[str, ...]] = ("step",)

    momentum: float = 0.9
    nesterov: bool = False
    trust: float = 1e-3

    def __post_init__(self):
        super().__post_init__()
        check_memories(momentum=self.momentum)
        check_nesterov(self.momentum, nesterov=self.nesterov)
        check_positive(trust=self.trust)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make it.

        Raises:
            ValueError: If vectors are to decay, which the package leaves as they are.
        """
        for group in groups:
            if group.get("weight_decay") and any(p.dim() < 2 for p in group["params"]):
                role = group.get("role", "their role")
                raise ValueError(
                    f"LARS lets no vectors decay; leave {role} out of strategy.decay_factors"
                )
        made = load(
            "lars",
            groups,
            lr=rate,
            weight_decay=0.0,
            momentum=self.momentum,
            dampening=0.0,
            trust_coefficient=self.trust,
            nesterov=self.nesterov,
        )
        return Sparing(made)


@dataclass(frozen=True, kw_only=True)
class LAMB(MomentEstimating):
    """u = m/(√v + ε) + λw, w ← w − η ‖w‖/(‖u‖ + ε) · u, norms of one parameter.

    Where a norm is zero the factor is one, and so it is for norms, biases and scales: those that
    start at zero would stay near it. Moments are not corrected for their start.

    Source: You et al. (2020), "Large batch optimization for deep learning", algorithm 2 with
    φ(z) = z, and no bias correction as in the third version of its preprint; what does not decay is
    spared as in the authors' code and timm's. Differs: the package adds ε to ‖u‖ too; timm, whose
    LAMB the evidence is of, corrects the moments and first clips the whole gradient to a norm of 1.
    The package takes the decay out of u, divides the rate by 1 − β₁ᵗ (ten times the rate at the
    first step), counts ‖w‖ up to ten and spares nothing unless it is told otherwise, as it is here.
    """

    epsilon: float = 1e-6

    is_elementwise: ClassVar[bool] = False
    state_in_groups: ClassVar[tuple[str, ...]] = ("step",)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make it."""
        own = [{**group, "adam": group.get("role") in SPARED} for group in groups]
        made: Any = load(
            "lamb",
            own,
            lr=rate,
            weight_decay=0.0,
            weight_decouple=False,
            adam_debias=True,
            rectify=False,
            grad_averaging=True,
            pre_norm=False,
            **self.options(),
        )
        made.clamp = math.inf
        return made
