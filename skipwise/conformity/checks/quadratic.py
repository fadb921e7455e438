"""On a quadratic the rule does what its theory says: its way, and where it gets unstable."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from skipwise.conformity.formulas import Setting, formula_of
from skipwise.conformity.outcome import EXACT, SINGLE, Outcome, judged, steadied, tolerance
from skipwise.conformity.problem import (
    PARTS,
    Problem,
    Walk,
    changed,
    drawn,
    with_one_rate,
    without_decay,
)
from skipwise.conformity.theory import NEXT_TO_NOTHING, STEPS, Theory, soon_forgetting, theory_of
from skipwise.strategies import LAMB, LBFGS, Lion, Optimiser, Strategy

SCALES = (1.0, 10.0, 0.1, 100.0, 1000.0)
PACE, START = 0.1, 5.05  # rate and start of a walk at a known pace


def obeys_its_theory(strategy: Strategy) -> Outcome:
    """It goes its way, converges below the limit of stability and diverges above it."""
    rule = soon_forgetting(strategy.optimiser)
    found = _obeys(changed(with_one_rate(without_decay(strategy)), optimiser=rule))
    if rule == strategy.optimiser:
        return found
    return replace(found, sentence=f"with shorter memories: {found.sentence}")


def _obeys(plain: Strategy) -> Outcome:
    rule = plain.optimiser
    for kind, find in PACES.items():
        if isinstance(rule, kind):
            return find(plain)
    theory = theory_of(rule)
    if theory is None:
        return replace(_converges(plain), word="converges")
    found = _is_stable_to(plain, theory)
    if theory.start > NEXT_TO_NOTHING or not found.passed:
        return found
    usual = _converges(plain)  # where gradients are no longer nothing beside ε
    return replace(usual, sentence=f"{found.sentence}; {usual.sentence}", numbers=found.numbers)


def bowl(
    curvature: float, start: float, steps: int = STEPS, *, of_matrices: bool = False
) -> Problem:
    """Give ½ h w² for every number of every parameter, or of every matrix."""
    base = drawn(1)
    nothing = {name: np.zeros_like(w) for name, w in base.start.items()}
    same = {n: np.full_like(w, curvature * (w.ndim > 1 or not of_matrices))
            for n, w in base.start.items()}  # fmt: skip
    begin = {name: np.full_like(w, start) for name, w in base.start.items()}
    return Problem(start=begin, pushes=(nothing,) * steps, curvature=same)


@dataclass(frozen=True, kw_only=True)
class Descent:
    """A walk beside that of the formula.

    Args:
        apart: The largest difference of both, in units of the largest number up to there.
        end: The largest number at the end, in units of the start.
        peak: The largest number on the way, likewise.
    """

    apart: float
    end: float
    peak: float


def _is_stable_to(strategy: Strategy, theory: Theory) -> Outcome:
    """Walk below the limit and above it."""
    rule, limit = theory.rule or strategy.optimiser, theory.limit
    walks = []
    for share in (0.95, 1.05):
        x = share * limit * theory.unit
        rate, curvature = (x, 1.0) if theory.by_rate else (strategy.peak_lr, x / strategy.peak_lr)
        problem = bowl(curvature, theory.start, of_matrices=theory.of_matrices)
        walks.append(_descended(changed(strategy, optimiser=rule), problem, rate))
    apart = float(np.max([walk.apart for walk in walks]))
    below, above = walks
    falls, grows = below.end < 0.1 * below.peak, above.end > max(10, 0.1 * above.peak)
    return judged(
        apart <= tolerance(rule) and falls and grows,
        f"goes the way of its formula for {STEPS} steps to {apart:.1e}; 5 % below the limit of"
        f" stability {limit:.4g} it ends at {below.end / below.peak:.1e} of its largest number, 5 %"
        f" above at {above.end:.1e} of the start",
        error=apart,
        limit=limit,
        below=below.end / below.peak,
        above=above.end,
    )


def _descended(strategy: Strategy, problem: Problem, rate: float) -> Descent:
    formula = formula_of(strategy.optimiser)
    assert formula is not None
    settings = {n: Setting(rate=rate, decay=0.0, role=part.role) for n, part in PARTS.items()}
    names = [name for name, h in problem.curvature.items() if h.any()]
    walk, weights = Walk(strategy, problem), problem.start
    start = peak = float(weights[names[0]].max())
    apart = end = 0.0
    for step in range(problem.steps):
        walk.step(rate)
        weights = formula.step(weights, partial(problem.gradient, step), settings)
        found = walk.weights()
        end = float(np.max([np.abs(weights[n]).max() for n in names]))
        peak = max(peak, end)
        error = np.max([np.abs(found[n] - weights[n]).max() for n in names])
        apart = float(np.maximum(apart, error / peak))
        if not apart <= SINGLE:
            break
    return Descent(apart=apart, end=end / start, peak=peak / start)


def _shrinks(strategy: Strategy) -> Outcome:
    """LAMB: ‖w‖u/‖u‖ is w while u keeps its sign, as it does below a rate of one.

    An ε of nothing stands for its own. Norms, biases and scales have no such factor.
    """
    rule: Any = strategy.optimiser
    plain = changed(strategy, optimiser=replace(rule, epsilon=1e-15))
    wanted = [START * (1 - PACE) ** t for t in range(1, STEPS + 1)]
    names = [name for name, part in PARTS.items() if part.decays]
    return _paced(plain, names, wanted, "every weight shrinks by the rate in every step")


def _descends_evenly(strategy: Strategy) -> Outcome:
    """Lion: a sign moves by the rate, until the minimum is passed."""
    wanted = [START - PACE * t for t in range(1, int(START / PACE) + 1)]
    return _paced(strategy, PARTS, wanted, "every step down to the minimum is as long as the rate")


def _paced(strategy: Strategy, names: Collection[str], wanted: list[float], claim: str) -> Outcome:
    walk, error = Walk(strategy, bowl(1.0, START, len(wanted))), 0.0
    for w in wanted:
        walk.step(PACE)
        found = walk.weights()
        apart = np.max([np.abs(found[name] - w).max() for name in names])
        error = float(np.maximum(error, apart / START))
    outcome = judged(error <= EXACT, f"{claim}, to {error:.1e} of the start", error=error)
    return replace(outcome, word="rate")


def _lands(strategy: Strategy) -> Outcome:
    """L-BFGS: where there is one curvature, the second direction is Newton's."""
    walk = Walk(steadied(strategy), bowl(1.0, START))
    walk.step(1.0)
    before = float(np.abs(walk.weights()["head.bias"]).max()) / START
    walk.step(1.0)
    error = float(np.max([np.abs(w).max() for w in walk.weights().values()])) / START
    found = judged(
        before > EXACT >= error,
        f"its first step ends at {before:.1e} of the start, its second in the minimum, to"
        f" {error:.1e}",
        error=error,
    )
    return replace(found, word="rate")


PACES: Mapping[type[Optimiser], Callable[[Strategy], Outcome]] = {
    LAMB: _shrinks,
    Lion: _descends_evenly,
    LBFGS: _lands,
}


def _converges(strategy: Strategy) -> Outcome:
    """Ask no more than that it goes down."""
    problem = bowl(1.0, 0.5)
    lowest = math.inf
    for scale in SCALES:
        reached = _reached(changed(strategy, peak_lr=strategy.peak_lr * scale), problem)
        lowest = min(lowest, reached)
        if reached < 0.01:
            return judged(
                True,
                f"at {scale:g} times its rate it goes down a quadratic to {reached:.1e} of the"
                f" start in {STEPS} steps",
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
