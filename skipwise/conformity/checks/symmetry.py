"""What the rule must not see: the scale of the gradient; and what its steps must measure."""

from collections.abc import Callable
from dataclasses import fields, replace

from skipwise.conformity.outcome import EXACT, Outcome, judged, not_due
from skipwise.conformity.problem import Arrays, Problem, changed, difference, drawn, walked
from skipwise.strategies import SGD, Adam, AdamW, Optimiser, Strategy

SCALE = 1024.0  # a power of two, so that scaling itself rounds nothing
LINEAR: tuple[type[Optimiser], ...] = (SGD,)
SCALE_FREE: tuple[type[Optimiser], ...] = (Adam, AdamW)


def keeps_its_symmetry(strategy: Strategy) -> Outcome:
    """A gradient c times as large moves c times as far, or as far, as the rule promises."""
    plain = changed(strategy, weight_decay=0.0)
    for kinds, find in SYMMETRIES:
        if isinstance(strategy.optimiser, kinds):
            return find(plain)
    return not_due("no symmetry of this rule is known here")


def _both(strategy: Strategy) -> tuple[Arrays, Arrays, Problem]:
    problem = drawn(curved=False)
    scaled = tuple({n: SCALE * g for n, g in push.items()} for push in problem.pushes)
    usual, larger = walked(strategy, problem), walked(strategy, replace(problem, pushes=scaled))
    return usual[-1], larger[-1], problem


def _is_linear(strategy: Strategy) -> Outcome:
    usual, larger, problem = _both(strategy)
    wanted = {n: problem.start[n] + SCALE * (w - problem.start[n]) for n, w in usual.items()}
    apart = difference(larger, wanted, problem.start)
    sentence = f"gradients {SCALE:g} times as large move that much farther, to {apart:.1e}"
    return judged(apart <= EXACT, sentence, apart=apart)


def _is_scale_free(strategy: Strategy) -> Outcome:
    usual, larger, problem = _both(_without_epsilon(strategy))
    apart = difference(larger, usual, problem.start)
    sentence = f"gradients {SCALE:g} times as large change the way by {apart:.1e} of it"
    return judged(apart <= EXACT, sentence, apart=apart)


def _without_epsilon(strategy: Strategy) -> Strategy:
    """Make ε so small that it is nothing beside any gradient."""
    rule = strategy.optimiser
    if "epsilon" not in {entry.name for entry in fields(rule)}:  # type: ignore[arg-type]
        return strategy
    return changed(strategy, optimiser=replace(rule, epsilon=1e-30))  # type: ignore[type-var]


SYMMETRIES: tuple[tuple[tuple[type[Optimiser], ...], Callable[[Strategy], Outcome]], ...] = (
    (LINEAR, _is_linear),
    (SCALE_FREE, _is_scale_free),
)
