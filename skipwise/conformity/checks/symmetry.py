"""What the rule must not see: the scale of the gradient; and what its steps must measure."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from skipwise.conformity.formulas import formula_of
from skipwise.conformity.outcome import Outcome, judged, not_due, tolerance, unjudged
from skipwise.conformity.problem import (
    PARTS,
    Arrays,
    Problem,
    difference,
    drawn,
    walked,
    with_one_rate,
    without_decay,
)
from skipwise.strategies import (
    ADOPT,
    ASAM,
    GSAM,
    LAMB,
    LARS,
    LBFGS,
    MARS,
    SAM,
    SGD,
    SGDW,
    SOAP,
    Adafactor,
    Adagrad,
    Adam,
    AdamW,
    Adan,
    CautiousAdamW,
    Lion,
    Lookahead,
    Muon,
    NAdam,
    NAdamW,
    Optimiser,
    Prodigy,
    RMSprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    Shampoo,
    Strategy,
)

SCALE = 1024.0  # a power of two, so that scaling itself rounds nothing
LINEAR = (SGD, SGDW, ScheduleFreeSGD)
AROUND = (SAM, ASAM, GSAM, Lookahead)
SCALE_FREE = (
    Adam, AdamW, CautiousAdamW, ADOPT, NAdam, NAdamW, RMSprop, Adagrad, Adafactor, Lion, Adan,
    Prodigy, SOAP, Shampoo,
)  # fmt: skip


def keeps_its_symmetry(strategy: Strategy) -> Outcome:
    """A gradient c times as large moves c times as far, or as far, as the rule promises."""
    plain, rule = with_one_rate(without_decay(strategy)), strategy.optimiser
    if isinstance(rule, AROUND):
        if not isinstance(rule.base, LINEAR):
            return _unknown(rule)
        return _is_linear(plain)
    for kinds, find in SYMMETRIES:
        if isinstance(rule, kinds):
            return find(plain)
    return _unknown(rule)


def _unknown(rule: Optimiser) -> Outcome:
    is_ours = isinstance(rule, LBFGS) or formula_of(rule) is not None
    return (not_due if is_ours else unjudged)("no symmetry of this rule is known here")


def _both(strategy: Strategy, other: Strategy) -> tuple[Arrays, Arrays, Problem]:
    problem = drawn(curved=False)
    scaled = tuple({n: SCALE * g for n, g in push.items()} for push in problem.pushes)
    usual, larger = walked(strategy, problem), walked(other, replace(problem, pushes=scaled))
    return usual[-1], larger[-1], problem


def _is_linear(strategy: Strategy) -> Outcome:
    usual, larger, problem = _both(strategy, strategy)
    wanted = {n: problem.start[n] + SCALE * (w - problem.start[n]) for n, w in usual.items()}
    apart = difference(larger, wanted, problem.start)
    sentence = f"gradients {SCALE:g} times as large move that much farther, to {apart:.1e}"
    return judged(apart <= tolerance(strategy.optimiser), sentence, apart=apart)


def _is_scale_free(strategy: Strategy) -> Outcome:
    usual, larger, problem = _both(strategy, _with_epsilon_scaled(strategy))
    apart = difference(larger, usual, problem.start)
    sentence = f"gradients and ε {SCALE:g} times as large change the way by {apart:.1e} of it"
    return judged(apart <= tolerance(strategy.optimiser), sentence, apart=apart)


def _with_epsilon_scaled(strategy: Strategy) -> Strategy:
    return replace(strategy, optimiser=strategy.optimiser.for_gradients(SCALE))


def _is_adaptive_but_for_a_constant(strategy: Strategy) -> Outcome:
    """Take the 10⁻¹⁵ that stands under a root for nothing beside gradients of order one."""
    usual, larger, problem = _both(strategy, _with_epsilon_scaled(strategy))
    apart = difference(larger, usual, problem.start)
    sentence = f"gradients and ε {SCALE:g} times as large change the way by {apart:.1e} of it"
    return judged(apart <= 1e-12, sentence + "; 1e-15 under a root explains 1e-13", apart=apart)


def _is_bounded(strategy: Strategy) -> Outcome:
    """Matrices whose gradients are longer than one do not see by how much; vectors see it by ε."""
    usual, larger, problem = _both(strategy, strategy)
    matrices = [name for name, start in problem.start.items() if start.ndim > 1]
    apart = difference(larger, {name: usual[name] for name in matrices}, problem.start)
    sentence = f"gradients {SCALE:g} times as large, ε as it is, change matrices by {apart:.1e}"
    return judged(apart <= tolerance(strategy.optimiser), sentence, apart=apart)


def _moves_by_trust(strategy: Strategy) -> Outcome:
    """The first step of a matrix is η times the length that the rule promises."""
    problem = drawn(2)
    found, rate = walked(strategy, problem)[0], strategy.rate(0, 2)
    rule, error = strategy.optimiser, 0.0
    for name, start in problem.start.items():
        length = float(np.linalg.norm(start))
        is_layer = start.ndim > 1 if isinstance(rule, LARS) else PARTS[name].decays
        if is_layer and length > 0:
            wanted = rule.trust * length if isinstance(rule, LARS) else length
            if isinstance(rule, LARS) and rule.nesterov:
                wanted *= 1 + rule.momentum
            moved = float(np.linalg.norm(found[name] - start)) / rate
            error = float(np.maximum(error, abs(moved / wanted - 1)))
    allowed = 1e-5 if isinstance(rule, LAMB) else tolerance(rule)  # ε beside the step's length
    sentence = f"a layer's first step is its length times the rate times the trust, to {error:.1e}"
    return judged(error <= allowed, sentence, error=error)


def _is_orthogonal(strategy: Strategy) -> Outcome:
    """The update of a branch, as a matrix, has singular values near one, at any scale."""
    problem = drawn(2)
    found, rate = walked(strategy, problem)[0]["branch.weight"], strategy.rate(0, 2)
    start = problem.start["branch.weight"]
    matrix = ((found - start) / rate).reshape(len(start), -1)
    matrix /= max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
    values = np.linalg.svd(matrix, compute_uv=False)
    low, high = float(values.min()), float(values.max())
    free = _is_scale_free(strategy)
    return judged(
        bool(free.passed) and low >= 0.5 and high <= 1.5,
        f"singular values of a branch's update lie in [{low:.3f}, {high:.3f}]; {free.sentence}",
        low=low,
        high=high,
    )


SYMMETRIES: tuple[tuple[tuple[type[Optimiser], ...], Callable[[Strategy], Outcome]], ...] = (
    (LINEAR, _is_linear),
    (SCALE_FREE, _is_scale_free),
    ((LARS, LAMB), _moves_by_trust),
    ((Muon,), _is_orthogonal),
    ((MARS,), _is_bounded),
    ((ScheduleFreeAdamW,), _is_adaptive_but_for_a_constant),
)
