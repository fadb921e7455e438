"""Where theory puts a rule's limit of stability on the bowl ½hw², by rule.

Below the limit the rule comes to rest, above it every step is longer than the one before. All
numbers start alike and have one curvature. Mostly an eigenvalue of −1 is what ends stability, where
w changes its sign in every step: the mean gradient of g, −g, g, … is g(1 − β)/(1 + β), and its
change is 2g. Adam's kin is linear while gradients are far below ε.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skipwise.conformity.problem import Array, Small
from skipwise.strategies import (
    ADOPT,
    ASAM,
    GSAM,
    LARS,
    MARS,
    SAM,
    SGD,
    SGDW,
    SOAP,
    Adagrad,
    Adam,
    AdamW,
    Adan,
    CautiousAdamW,
    Lookahead,
    NAdam,
    NAdamW,
    Optimiser,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    Shampoo,
)

STEPS = 200  # of a walk
NEXT_TO_NOTHING = 1e-100  # its gradient is nothing beside any ε, and what it grows to is too
SETTLED = 0.9  # a memory of the square that is full after some steps
MEMORIES = ("momentum", "beta", "beta1")  # of gradients: what they hold fades as their powers do
ADDED = math.sqrt(1e-15)  # to ε, by what the package adds under the root


@dataclass(frozen=True, kw_only=True)
class Theory:
    """What is known of a rule on the bowl.

    Args:
        limit: Of stability, on x = ηh/unit.
        unit: What the gradient is divided by.
        start: Where w begins.
        of_matrices: Whether it holds for matrices alone; the bowl is flat for vectors.
        by_rate: Whether x is the rate over the unit, whatever the curvature.
        rule: What walks in the place of the rule: one whose corrections are soon over.
    """

    limit: float
    unit: float = 1.0
    start: float = 1.0
    of_matrices: bool = False
    by_rate: bool = False
    rule: Optimiser | None = None


def theory_of(rule: Optimiser) -> Theory | None:
    """Give what is known of a rule, or of the nearest class it is made from; None if nothing is."""
    makers = [THEORIES[kind] for kind in type(rule).__mro__ if kind in THEORIES]
    return makers[0](rule) if makers else None


def soon_forgetting(rule: Any) -> Any:
    """Give the rule, and those within it, with memories that fade within a walk.

    Below the limit momentum fades as μ^(t/2), at 0.99 to a third in 200 steps. Schedule-Free's
    limit is that of late steps: at 95 % of it what it holds grows until 9.5 β/(1 − β).
    """
    memories = (*MEMORIES, "beta2") if isinstance(rule, Adan) else MEMORIES
    longest = 0.9 if isinstance(rule, ScheduleFreeSGD | ScheduleFreeAdamW) else 0.95
    changed: dict[str, Any] = {}
    for name, value in vars(rule).items():
        if isinstance(value, Optimiser):
            changed[name] = soon_forgetting(value)
        elif name in memories and value > longest:
            changed[name] = longest
    return replace(rule, **changed) if changed else rule


def limit_of_momentum(rule: Any) -> float:
    """Give 2(1 + μ), or 2(1 + μ)/(1 + 2μ) with Nesterov."""
    return 2 * (1 + rule.momentum) / (1 + 2 * rule.momentum if rule.nesterov else 1)


def _of_lookahead(rule: Lookahead) -> Theory | None:
    """Look for the first x at which an eigenvalue of k steps and the jump leaves the unit circle.

    With B the kth power of momentum's matrix, w and v become (1 − α)w + α(Bw)₁ and (Bw)₂.
    """
    base = rule.base
    if not isinstance(base, SGD | SGDW):
        return None

    def radius(x: float) -> float:
        cycle = np.linalg.matrix_power(_matrix(base, x), rule.steps)
        cycle[0] = rule.share * cycle[0] + (1 - rule.share) * np.array([1.0, 0.0])
        return float(np.abs(np.linalg.eigvals(cycle)).max())

    some = np.linspace(0, 4 * limit_of_momentum(base), 4001)[1:]
    return Theory(limit=next((float(x) for x in some if radius(x) > 1), math.inf))


def _matrix(rule: SGD | SGDW, x: float) -> Array:
    """Give that of (w, v), v in units of h: v' = μv + w, w' = w − xv', or w − x(w + μv')."""
    mu = rule.momentum
    velocity = np.array([1.0, mu])
    move = np.array([1.0, 0.0]) + mu * velocity if rule.nesterov else velocity
    return np.stack([np.array([1.0, 0.0]) - x * move, velocity])


def _of_sharpness(rule: SAM | GSAM | ASAM) -> Theory | None:
    """Of n numbers each climbs by ρ/√n, a jump at zero that the limit does not see.

    GSAM turns nothing where both gradients have one direction. ASAM climbs by (|w| + η)ρ/√n, n of
    matrices, so its gradient is that of (1 + ρ/√n)w.

    Source: Bartlett, Long, Bousquet (2023), "The dynamics of sharpness-aware minimization": below
    the limit it ends in a cycle about the minimum, of amplitude ρx/(2 − x) without momentum.
    """
    base = rule.base
    if not isinstance(base, SGD | SGDW):
        return None
    is_adaptive = isinstance(rule, ASAM)
    numbers = sum(p.numel() for p in Small().parameters() if p.ndim > 1 or not is_adaptive)
    farther = 1 + rule.radius / math.sqrt(numbers) if is_adaptive else 1.0
    limit = limit_of_momentum(base) / farther
    return Theory(limit=limit, start=100.0, of_matrices=is_adaptive)  # far from the jump


def _limit_of_adam(rule: Any) -> float:
    """Give 2(1 + β₁)/(1 − β₁).

    Caution masks nothing there: the mean has the sign of the gradient.

    Source: Cohen et al. (2022), "Adaptive gradient methods at the edge of stability", section 3:
    38 for β₁ = 0.9, for the Hessian in units of the preconditioner.
    """
    return 2 * (1 + rule.beta1) / (1 - rule.beta1)


def _limit_of_nadam(rule: NAdam) -> float:
    """Give 2/(1 − 2μβ₁/(1 + β₁)) with the μ of late steps: μ of the mean and 1 − μ of g."""
    mu = rule.beta1 * (1 - 0.5 * 0.96 ** (STEPS * rule.momentum_decay))
    return 2 / (1 - 2 * mu * rule.beta1 / (1 + rule.beta1))


def _limit_of_adan(rule: Adan) -> float:
    """Give that of the means of the gradient and of its change."""
    mean, change = ((1 - beta) / (1 + beta) for beta in (rule.beta1, rule.beta2))
    return 2 / (mean + 2 * rule.beta2 * change)


def _below(unit: float, limit: float) -> Theory:
    """Give that of a rule which divides by the unit where gradients are next to nothing."""
    return Theory(limit=limit, unit=unit, start=NEXT_TO_NOTHING)


def _of_adam(rule: Any) -> Theory:
    return _below(rule.epsilon, _limit_of_adam(rule))


def _settled(rule: RAdam | SOAP) -> Theory:
    """Their rate grows with √(1 − β₂ᵗ) beside ε: a shorter memory walks for theirs."""
    return replace(_of_adam(rule), rule=replace(rule, beta2=SETTLED))


def _of_mars(rule: MARS) -> Theory:
    """Likewise; to the gradient a share of its change is added, of matrices."""
    share = rule.correction * rule.beta1 / (1 - rule.beta1)
    bound = _below(rule.epsilon + ADDED, _limit_of_adam(rule) / (1 + 2 * share))
    return replace(bound, of_matrices=True, rule=replace(rule, beta2=SETTLED))


def _of_lars(rule: LARS) -> Theory:
    """τ‖w‖/‖g‖ · g is τw, whatever the curvature."""
    limit, unit = limit_of_momentum(rule), 1 / rule.trust
    return Theory(limit=limit, unit=unit, of_matrices=True, by_rate=True)


THEORIES: Mapping[type[Optimiser], Callable[[Any], Theory | None]] = {
    SGD: lambda rule: Theory(limit=limit_of_momentum(rule)),
    SGDW: lambda rule: Theory(limit=limit_of_momentum(rule)),
    LARS: _of_lars,
    Lookahead: _of_lookahead,
    SAM: _of_sharpness,
    ASAM: _of_sharpness,
    GSAM: _of_sharpness,
    # Late, the average is as good as still.
    ScheduleFreeSGD: lambda rule: Theory(limit=2 / (1 - rule.beta)),
    ScheduleFreeAdamW: lambda rule: _below(rule.epsilon + ADDED, 2 / (1 - rule.beta1)),
    Adam: _of_adam,
    AdamW: _of_adam,
    CautiousAdamW: _of_adam,
    ADOPT: _of_adam,
    # Nesterov's, for a velocity in units of 1 − β₁.
    NAdamW: lambda rule: _below(rule.epsilon, _limit_of_adam(rule) / (1 + 2 * rule.beta1)),
    NAdam: lambda rule: _below(rule.epsilon, _limit_of_nadam(rule)),
    Adan: lambda rule: _below(rule.epsilon, _limit_of_adan(rule)),
    RAdam: _settled,
    SOAP: _settled,
    MARS: _of_mars,
    RMSprop: lambda rule: _below(rule.epsilon, 2 * (1 + rule.momentum)),
    Adagrad: lambda rule: _below(rule.epsilon + math.sqrt(rule.start), 2.0),
    # Each of k axes has the root ε^(−1/2k).
    Shampoo: lambda rule: _below(math.sqrt(rule.epsilon), 2.0),
}
