"""Lion and Adan: other uses of the gradient's past."""

from dataclasses import dataclass
from typing import ClassVar

from torch.optim import Optimizer

from skipwise.strategies.optimisers.borrowed.loading import load
from skipwise.strategies.optimisers.optimiser import (
    Groups,
    Optimiser,
    check_memories,
    check_positive,
)


@dataclass(frozen=True, kw_only=True)
class Lion(Optimiser):
    """w ← w − ηλw − η sign(β₁m + (1 − β₁)g), then m ← β₂m + (1 − β₂)g.

    Args:
        beta1: Memory in the sign.
        beta2: Memory of m.

    Source: Chen et al. (2023), "Symbolic discovery of optimization algorithms", algorithm 2.
    """

    is_elementwise: ClassVar[bool] = True
    state_in_groups: ClassVar[tuple[str, ...]] = ("step",)

    beta1: float = 0.9
    beta2: float = 0.99

    def __post_init__(self):
        super().__post_init__()
        check_memories(beta1=self.beta1, beta2=self.beta2)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make it."""
        betas = (self.beta1, self.beta2)
        decay = {"weight_decay": 0.0, "weight_decouple": True, "fixed_decay": False}
        return load("lion", groups, lr=rate, betas=betas, **decay)


@dataclass(frozen=True, kw_only=True)
class Adan(Optimiser):
    """w ← (w − η (m̂ + β₂d̂)/(√n̂ + ε)) / (1 + ηλ).

    With Δ = g − g of the step before (0 at first): m, d and n remember g by β₁, Δ by β₂ and
    (g + β₂Δ)² by β₃; a hat divides by 1 − βᵗ.

    Args:
        beta1: Memory of the gradient.
        beta2: Memory of its change.
        beta3: Memory of the square.
        epsilon: ε.

    Source: Xie et al. (2022), "Adan", algorithm 1 with the authors' corrections of bias. Differs: β
    here is what the paper calls 1 − β.
    """

    is_elementwise: ClassVar[bool] = True
    state_in_groups: ClassVar[tuple[str, ...]] = ("step",)

    beta1: float = 0.98
    beta2: float = 0.92
    beta3: float = 0.99
    epsilon: float = 1e-8

    def __post_init__(self):
        super().__post_init__()
        check_memories(beta1=self.beta1, beta2=self.beta2, beta3=self.beta3)
        check_positive(epsilon=self.epsilon)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make it."""
        return load(
            "adan",
            groups,
            lr=rate,
            betas=(self.beta1, self.beta2, self.beta3),
            eps=self.epsilon,
            weight_decay=0.0,
            weight_decouple=False,
            max_grad_norm=0.0,
        )
