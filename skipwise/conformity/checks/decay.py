"""Weight decay acts where it is due and nowhere else; a rate of zero changes nothing."""

from collections.abc import Sequence

import numpy as np

from skipwise.conformity.checks.following import setting_of, slowly
from skipwise.conformity.outcome import (
    EXACT,
    Outcome,
    judged,
    not_due,
    precision_of,
    tolerance,
    unjudged,
)
from skipwise.conformity.problem import (
    PARTS,
    Arrays,
    Walk,
    changed,
    difference,
    drawn,
    walked,
    without_decay,
    without_gradient,
)
from skipwise.strategies import (
    ADOPT,
    MARS,
    SGDW,
    Adafactor,
    AdamW,
    CautiousAdamW,
    Lion,
    Muon,
    NAdam,
    NAdamW,
    Optimiser,
    Prodigy,
    RAdam,
    Shampoo,
    Strategy,
)

DECAY = 0.1
DECOUPLED: tuple[type[Optimiser], ...] = (
    AdamW, CautiousAdamW, NAdamW, ADOPT, MARS, SGDW, Lion, Adafactor, Shampoo,
)  # fmt: skip
# So high, and so different, that (1 − ηλ)² is far from 1 − cηλ for every c.
HIGH_RATES = (0.9, 0.5, 0.8, 0.4, 0.7, 0.3)


def decays_where_due(strategy: Strategy) -> Outcome:
    """Without a gradient, what decays follows the closed form and all else stays, bit for bit."""
    problem = without_gradient(but=_pushed(strategy))
    resting = [name for name in PARTS if name not in _pushed(strategy)]
    hidden = _moved(walked(without_decay(strategy), problem)[-1], problem.start, resting)
    if hidden:
        return judged(False, f"without decay and gradient, {hidden[0]} moves")
    try:
        decaying = changed(strategy, weight_decay=DECAY)
        found = walked(decaying, problem)[-1]
    except ValueError as error:
        return not_due(f"it refuses to decay: {error}")
    due = {n: problem.start[n] for n in resting if setting_of(decaying, n, 1.0).decay > 0}
    spared = [name for name in resting if name not in due]
    wrong = _moved(found, problem.start, spared)
    if wrong:
        return judged(False, f"{wrong[0]} decays, and none is due to it")
    if not due:
        return not_due("decay is due to nothing; its decay_factors are zero")
    still = sorted(due.keys() - set(_moved(found, problem.start, due)))
    if still:
        return judged(False, f"{still[0]} does not decay")
    return _by_closed_form(decaying, {name: found[name] for name in due}, due)


def _pushed(strategy: Strategy) -> tuple[str, ...]:
    """Name what gets a gradient all the same, for a rule that rests where there is none at all."""
    rests = any(isinstance(rule, Prodigy) for rule in strategy.optimiser.rules)
    return ("head.bias",) if rests else ()


def _by_closed_form(strategy: Strategy, found: Arrays, start: Arrays) -> Outcome:
    problem = without_gradient(but=_pushed(strategy))
    if _is_decoupled(strategy.optimiser):
        rates = [strategy.rate(step, problem.steps) for step in range(problem.steps)]
        wanted, words = _product(strategy, start, rates), "Π(1 − ηλ)"
    else:
        slow = slowly(strategy, problem)
        if slow is None:
            return _by_its_power(strategy, start)
        wanted, words = {name: slow[-1].trained[name] for name in start}, "the law of its formula"
    error = 0.0
    for name, w in start.items():
        rounding = problem.steps * np.finfo(np.float64).eps * np.abs(w)
        near = np.clip(found[name], wanted[name] - rounding, wanted[name] + rounding)
        apart = difference({name: found[name]}, {name: near}, {name: w})
        error = float(np.maximum(error, apart))
    sentence = f"decays where it is due, and differs from {words} by {error:.1e} of the way"
    return judged(
        error <= tolerance(strategy.optimiser),
        sentence + precision_of(strategy.optimiser),
        error=error,
    )


def _is_decoupled(rule: Optimiser) -> bool:
    if isinstance(rule, Muon):
        return _is_decoupled(rule.others)
    return isinstance(rule, DECOUPLED) or (isinstance(rule, NAdam | RAdam) and rule.decoupled)


def _by_its_power(strategy: Strategy, start: Arrays) -> Outcome:
    """Judge a rule without a formula where every step multiplies by a whole power of 1 − ηλ.

    The first is what a decay apart from the gradient is. A higher one is the same decay over again:
    one that is part of the gradient makes it 1 − cηλ at first, or a step that does not see λ, and
    others are 1/(1 + ηλ), exp(−ηλ) or know nothing of η. What asks for several gradients a step
    may decay with each.
    """
    walk = Walk(strategy, without_gradient(len(HIGH_RATES), but=_pushed(strategy)))
    for rate in HIGH_RATES:
        walk.step(rate)
    found, once = walk.weights(), _product(strategy, start, HIGH_RATES)
    for power in range(1, len(PARTS) + 1):
        wanted = {name: w * (once[name] / w) ** power for name, w in start.items()}
        error = float(np.max([np.abs(found[n] / wanted[n] - 1).max() for n in start]))
        if error <= EXACT and power == 1:
            sentence = f"decays where it is due, and differs from Π(1 − ηλ) by {error:.1e}"
            return judged(True, sentence, error=error)
        if error <= EXACT and walk.asked == walk.taken:
            sentence = f"decays {power} times in one step, by (1 − ηλ)^{power}"
            return judged(False, sentence, power=power)
    return unjudged("decays where it is due; there is no formula of this rule for its law")


def _product(strategy: Strategy, start: Arrays, rates: Sequence[float]) -> Arrays:
    kept, rule = {name: 1.0 for name in start}, strategy.optimiser
    for rate in rates:
        for name in start:
            setting = setting_of(strategy, name, rate)
            shared = isinstance(rule, Muon) and setting.role != "branch"
            share = rule.share if isinstance(rule, Muon) and shared else 1.0
            kept[name] *= 1 - setting.rate * share * setting.decay
    return {name: kept[name] * w for name, w in start.items()}


def _moved(found: Arrays, start: Arrays, names) -> list[str]:
    return [name for name in names if not np.array_equal(found[name], start[name])]


def rests_at_rate_zero(strategy: Strategy) -> Outcome:
    """At a rate of zero no weight changes, whatever the gradient and the decay."""
    if not strategy.optimiser.can_skip:
        return not_due("its rate is no more than the first length that its line search tries")
    problem = drawn(3)
    try:
        walk = Walk(changed(strategy, weight_decay=DECAY), problem)
    except ValueError:
        walk = Walk(strategy, problem)  # it refuses to decay
    for _ in range(problem.steps):
        walk.step(0.0)
    moved = _moved(walk.weights(), problem.start, PARTS)
    sentence = f"{moved[0]} moves at rate 0" if moved else "no weight moves in 3 steps at rate 0"
    return judged(not moved, sentence)
