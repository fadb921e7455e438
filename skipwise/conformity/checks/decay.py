"""Weight decay acts where it is due and nowhere else; a rate of zero changes nothing."""

import numpy as np

from skipwise.conformity.checks.following import slowly
from skipwise.conformity.outcome import EXACT, Outcome, judged, not_due
from skipwise.conformity.problem import (
    PARTS,
    Arrays,
    Walk,
    changed,
    drawn,
    walked,
    without_gradient,
)
from skipwise.strategies import (
    SGDW,
    Adafactor,
    AdamW,
    Lion,
    Muon,
    NAdamW,
    Optimiser,
    Shampoo,
    Strategy,
)

DECAY = 0.1
DECOUPLED: tuple[type[Optimiser], ...] = (AdamW, NAdamW, SGDW, Lion, Adafactor, Muon, Shampoo)


def decays_where_due(strategy: Strategy) -> Outcome:
    """Without a gradient, what decays follows the closed form and all else stays, bit for bit."""
    problem = without_gradient()
    plain = walked(changed(strategy, weight_decay=0.0), problem)[-1]
    hidden = _moved(plain, problem.start, PARTS)
    if hidden:
        return judged(False, f"without decay and gradient, {hidden[0]} moves")
    decaying = changed(strategy, weight_decay=DECAY)
    found = walked(decaying, problem)[-1]
    spared = [name for name, part in PARTS.items() if not part.decays]
    wrong = _moved(found, problem.start, spared)
    if wrong:
        return judged(False, f"{wrong[0]} decays, and none is due to it")
    due = {name: w for name, w in problem.start.items() if PARTS[name].decays}
    still = sorted(due.keys() - set(_moved(found, problem.start, due)))
    if still:
        return judged(False, f"{still[0]} does not decay")
    return _by_closed_form(decaying, {name: found[name] for name in due}, due)


def _by_closed_form(strategy: Strategy, found: Arrays, start: Arrays) -> Outcome:
    problem = without_gradient()
    if isinstance(strategy.optimiser, DECOUPLED):
        wanted, words = _product(strategy, start, problem.steps), "Π(1 − ηλ)"
    else:
        slow = slowly(strategy, problem)
        if slow is None:
            return not_due("decays where it is due; there is no closed form here for its law")
        wanted, words = {name: slow[-1][name] for name in start}, "its law of coupled decay"
    error = max(float(np.abs(found[n] / wanted[n] - 1).max()) for n in start)
    sentence = f"decays on weights only, and differs from {words} by {error:.1e}"
    return judged(error <= EXACT, sentence, error=error)


def _product(strategy: Strategy, start: Arrays, steps: int) -> Arrays:
    kept = {name: 1.0 for name in start}
    for step in range(steps):
        for name in start:
            factor = strategy.layer_decay ** PARTS[name].distance
            kept[name] *= 1 - strategy.rate(step, steps) * factor * strategy.weight_decay
    return {name: kept[name] * w for name, w in start.items()}


def _moved(found: Arrays, start: Arrays, names) -> list[str]:
    return [name for name in names if not np.array_equal(found[name], start[name])]


def rests_at_rate_zero(strategy: Strategy) -> Outcome:
    """At a rate of zero no weight changes, whatever the gradient and the decay."""
    problem = drawn(3)
    walk = Walk(changed(strategy, weight_decay=DECAY), problem)
    for _ in range(problem.steps):
        walk.step(0.0)
    moved = _moved(walk.weights(), problem.start, PARTS)
    sentence = f"{moved[0]} moves at rate 0" if moved else "no weight moves in 3 steps at rate 0"
    return judged(not moved, sentence)
