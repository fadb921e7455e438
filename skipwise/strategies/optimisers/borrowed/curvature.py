"""Shampoo and SOAP: a matrix for every axis of a parameter."""

from dataclasses import dataclass
from typing import Any, ClassVar, cast, final

import torch
from torch.optim import Optimizer

from skipwise.strategies.optimisers.adam import MomentEstimating
from skipwise.strategies.optimisers.borrowed.loading import load
from skipwise.strategies.optimisers.optimiser import Groups, Optimiser, check_positive
from skipwise.strategies.optimisers.wrapping import Closure, Wrapping, asked


@dataclass(frozen=True, kw_only=True)
class Shampoo(Optimiser):
    """Lᵢ ← Lᵢ + Gᵢ Gᵢᵀ for each axis i of k, w ← w − ηλw − η G ×₁ L₁^(−1/2k) … ×ₖ Lₖ^(−1/2k).

    Gᵢ is the gradient with axis i in front and the others made one; Lᵢ begins with ε·I.

    What the matrices have not seen yet has the root of ε: a gradient there is taken 1/√ε times as
    large (of a vector), until the roots are computed anew. With those of each step no update of a
    vector is longer than η; with older ones a small ε breaks a run.

    Args:
        epsilon: ε.
        every: Steps from one computation of the roots to the next; in the first so many steps they
            are computed each time.

    Source: Gupta, Koren, Singer (2018), "Shampoo", algorithm 2; ε and the roots of every step are
    those of the authors' code (TensorFlow 1.15, ``contrib.opt``); the decay is ours. It has no
    momentum: the package's mixes the preconditioned gradient into the raw one and preconditions
    both again. The package leaves the weights unmoved until it first computes the roots.
    """

    epsilon: float = 1e-4
    every: int = 1

    epsilon_power: ClassVar[int] = 2  # it stands beside GGᵀ
    state_in_groups: ClassVar[tuple[str, ...]] = ("step",)

    def __post_init__(self):
        super().__post_init__()
        check_positive(epsilon=self.epsilon, every=self.every)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make it."""
        made = load(
            "shampoo",
            groups,
            lr=rate,
            momentum=0.0,
            weight_decay=0.0,
            weight_decouple=True,
            fixed_decay=False,
            matrix_eps=self.epsilon,
            preconditioning_compute_steps=1,
        )
        return Rooting(made, self.every)


@final
class Rooting(Wrapping):
    """Says when Shampoo computes its roots.

    Args:
        base: The package's Shampoo.
        every: Steps from one time to the next.
    """

    def __init__(self, base: Optimizer, every: int):
        super().__init__(base)
        self.every = every

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Take one step."""
        loss, inside = asked(closure), cast(Any, self.base)
        taken = self.param_groups[0].get("step", 0)
        inside.preconditioning_compute_steps = 1 if taken < self.every else self.every
        inside.step()
        return loss


@dataclass(frozen=True, kw_only=True)
class SOAP(MomentEstimating):
    """Adam in the eigenbasis of Shampoo's matrices, w ← (w − ηₜ Q m'/(√v' + ε) Qᵀ)(1 − ηλ).

    Lᵢ ← β₂Lᵢ + (1 − β₂) Gᵢ Gᵢᵀ for each axis; m' and v' are the mean gradient and the mean square
    of the gradient, both turned into the eigenvectors Q of all Lᵢ, and ηₜ is
    η √(1 − β₂ᵗ)/(1 − β₁ᵗ). Vectors are not turned.

    The first step only begins the matrices: it leaves the weights as they are. Where a matrix has
    zero eigenvalues, as that of every classifier's head, their basis is arbitrary and rounding
    decides it: two runs that round otherwise (in parts, with other threads) part at once.

    Args:
        every: Steps from one turn of the basis to the next; each is a power iteration and a QR
            decomposition, which the package computes in float32.

    Source: Vyas et al. (2025), "SOAP: improving and stabilizing Shampoo using Adam", algorithm 3;
    the decay comes after the update and ε beside √v', before its
    correction, as in the authors' code.
    """

    beta1: float = 0.95
    beta2: float = 0.95
    every: int = 10

    is_elementwise: ClassVar[bool] = False
    state_in_groups: ClassVar[tuple[str, ...]] = ("step",)

    def __post_init__(self):
        super().__post_init__()
        check_positive(every=self.every)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make it."""
        return load(
            "soap",
            groups,
            lr=rate,
            weight_decay=0.0,
            precondition_frequency=self.every,
            shampoo_beta=self.beta2,
            max_precondition_dim=10_000,
            merge_dims=False,
            precondition_1d=False,
            correct_bias=True,
            normalize_gradient=False,
            **self.options(),
        )
