"""On a quadratic the rule does what its theory says: the rate of convergence, and where it ends."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skipwise.conformity.outcome import EXACT, Outcome, judged
from skipwise.conformity.problem import (
    Array,
    Problem,
    Walk,
    changed,
    drawn,
    with_one_rate,
    without_decay,
)
from skipwise.strategies import (
    ADOPT,
    LARS,
    SGD,
    SGDW,
    Adagrad,
    Adam,
    AdamW,
    NAdamW,
    Optimiser,
    RMSprop,
    Strategy,
)

STEPS = 200
SCALES = (1.0, 10.0, 0.1, 100.0, 1000.0)


def obeys_its_theory(strategy: Strategy) -> Outcome:
    """It converges below the limit of stability and diverges above it, at the predicted rate."""
    plain = with_one_rate(without_decay(strategy))
    rule = strategy.optimiser
    if isinstance(rule, SGD | SGDW):
        return _descends(plain, _matrix(rule))
    for kind, limit in LIMITS.items():
        if isinstance(rule, kind):
            return _is_stable_to(plain, limit(rule))
    return _converges(plain)


def bowl(curvature: float, start: float, steps: int = STEPS) -> Problem:
    """Give ½ h w² for every number of every parameter."""
    base = drawn(1)
    nothing = {name: np.zeros_like(w) for name, w in base.start.items()}
    same = {name: np.full_like(w, curvature) for name, w in base.start.items()}
    begin = {name: np.full_like(w, start) for name, w in base.start.items()}
    return Problem(start=begin, pushes=(nothing,) * steps, curvature=same)


@dataclass(frozen=True)
class Linear:
    """A rule that is linear in (weight, velocity): its matrix at ηh, and its limit on ηh."""

    matrix: Callable[[float], Array]
    limit: float


def _matrix(rule: Any) -> Linear:
    """Give that of momentum: v' = μv + hw, w' = w − ηv', or w − η(hw + μv'); v in units of 1/η.

    Source of the limits: 2(1 + μ), and 2(1 + μ)/(1 + 2μ) with Nesterov: where an eigenvalue is −1.
    """
    mu, ahead = rule.momentum, rule.nesterov

    def matrix(x: float) -> Array:
        velocity = np.array([x, mu])
        seen = np.array([x, 0.0]) + mu * velocity if ahead else velocity
        return np.stack([np.array([1.0, 0.0]) - seen, velocity])

    return Linear(matrix, 2 * (1 + mu) / (1 + 2 * mu if ahead else 1))


def _descends(strategy: Strategy, theory: Linear) -> Outcome:
    """Compare with powers of the matrix, below and above the limit."""
    error, found, lengths = 0.0, 1.0, []
    for share in (0.5, 0.95, 1.05):
        walk = Walk(strategy, bowl(share * theory.limit / strategy.peak_lr, 1.0))
        matrix, state = theory.matrix(share * theory.limit), np.array([1.0, 0.0])
        for _ in range(STEPS):
            walk.step(strategy.peak_lr)
            state = matrix @ state
            found = walk.weights()["head.bias"][0]
            error = float(np.maximum(error, abs(found - state[0]) / max(1.0, abs(state[0]))))
        lengths.append(abs(found))
    limit = theory.limit
    return judged(
        error <= EXACT and lengths[1] < 0.1 and lengths[2] > 10,
        f"follows the powers of its matrix to {error:.1e}; below the limit ηh = {limit:.4g} it ends"
        f" at {lengths[1]:.1e} of the start, above at {lengths[2]:.1e}",
        error=error,
        limit=limit,
    )


def _limit_of_adam(rule: Adam | AdamW | ADOPT) -> float:
    """Give 2(1 + β₁)/(1 − β₁), on ηh/ε while √v̂ is nothing beside ε.

    Source: Cohen et al. (2022), "Adaptive gradient methods at the edge of stability", section 3:
    38 for β₁ = 0.9, for the Hessian in units of the preconditioner.
    """
    return 2 * (1 + rule.beta1) / (1 - rule.beta1)


def _limit_of_nadamw(rule: NAdamW) -> float:
    """Give Nesterov's limit, for a velocity in units of 1 − β₁."""
    return 2 * (1 + rule.beta1) / ((1 + 2 * rule.beta1) * (1 - rule.beta1))


def _limit_of_rmsprop(rule: RMSprop) -> float:
    """Give that of heavy ball."""
    return 2 * (1 + rule.momentum)


LIMITS: Mapping[type[Optimiser], Callable[[Any], float]] = {
    Adam: _limit_of_adam,
    AdamW: _limit_of_adam,
    ADOPT: _limit_of_adam,
    NAdamW: _limit_of_nadamw,
    RMSprop: _limit_of_rmsprop,
    Adagrad: lambda _: 2.0,
}


def _is_stable_to(strategy: Strategy, limit: float) -> Outcome:
    """Stay where ε is the preconditioner: gradients far below it, after the corrections of bias."""
    rule: Any = strategy.optimiser
    ends = []
    for share in (0.95, 1.05):
        curvature = share * limit * rule.epsilon / strategy.peak_lr
        start = 1e-9 * rule.epsilon / curvature
        problem = bowl(curvature, start, 400 + STEPS)
        walk = Walk(strategy, replace(problem, start=bowl(0.0, 0.0).start))
        for _ in range(400):
            walk.step(strategy.peak_lr)
        walk.place(problem.start)
        for _ in range(STEPS):
            walk.step(strategy.peak_lr)
        ends.append(max(float(np.abs(w).max()) for w in walk.weights().values()) / start)
    below, above = ends
    return judged(
        below < 0.1 and above > 10,
        f"where ε is the preconditioner, 5 % below the limit ηh/ε = {limit:.4g} it ends at"
        f" {below:.1e} of the start, 5 % above at {above:.1e}",
        limit=limit,
        below=below,
        above=above,
    )


def _converges(strategy: Strategy) -> Outcome:
    """Ask no more than that it goes down; there is no theory here."""
    problem = bowl(1.0, 0.5)
    if isinstance(strategy.optimiser, LARS):  # its vectors have another rate by far
        flat = {n: h * (h.ndim > 1) for n, h in problem.curvature.items()}
        problem = replace(problem, curvature=flat)
    lowest = math.inf
    for scale in SCALES:
        reached = _reached(changed(strategy, peak_lr=strategy.peak_lr * scale), problem)
        lowest = min(lowest, reached)
        if reached < 0.01:
            return judged(
                True,
                f"no theory is known here; at {scale:g} times its rate it goes down a quadratic to"
                f" {reached:.1e} of the start in {STEPS} steps",
                reached=reached,
                scale=scale,
            )
    return judged(False, f"goes down a quadratic at no rate, at most to {lowest:.1e} of the start")


def _reached(strategy: Strategy, problem: Problem) -> float:
    """Give the last loss in units of the first, infinite where there is none."""
    walk = Walk(strategy, problem)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(STEPS):
                walk.step()
            last = problem.loss(0, walk.weights())
    except RuntimeError:  # torch's linear algebra refuses what is not finite
        return math.inf
    return last / problem.loss(0, problem.start) if math.isfinite(last) else math.inf
