"""V3: whether the steps are of a usual size against the weights."""

import math
from collections.abc import Collection, Mapping
from functools import partial
from statistics import median

from skipwise.analysis import short
from skipwise.analysis.state import equilibrium_rotation
from skipwise.diagnosis.cure import joined
from skipwise.diagnosis.rehearsal import Moved, Rehearsal
from skipwise.diagnosis.rules.training.cures import HIGHER, LOWER, WARMER
from skipwise.diagnosis.verdict import Level, Verdict

LOW, HIGH = 1e-4, 1e-2  # one decade around 1e-3
FACTOR = 3.0  # around the equilibrium of a scale-invariant weight
BY_SCHEDULE = 0.1  # of the peak: below it a small step is meant
FEWEST = 5  # steps whose median is a median
STILL = 1e-300  # stands for no update at all where a logarithm is taken


_verdict = partial(
    Verdict,
    rule="V3",
    name="steps too small or too large",
    source="Karpathy, Johnson, Li (2015), CS231n: about 1e-3; Kosson, Messmer, Jaggi (2024):"
    " √(2ηw/(1 + b)) for scale-invariant weights; the width of the bands is ours",
)


def rate(
    *,
    rehearsal: Rehearsal | None = None,
    invariant: Collection[str] | None = (),
    trained_steps: int | None = None,
    peak_rate: float | None = None,
) -> Verdict:
    """Judge the rate by the real update against the weight, ``‖Δθ‖/‖θ‖``.

    The median over steps of each weight, then over weights; biases, scales of norms and tensors
    that start at zero do not count. Ordinary weights are held against 1e-4 to 1e-2, scale-invariant
    ones (before a norm) against a third to three times their equilibrium, which the larger group
    decides. A scale-invariant weight comes to its equilibrium by itself in about 1/(2ηw) steps;
    before that a large ratio is no fault, and only a small one is told.

    Args:
        rehearsal: Of some real steps.
        invariant: Names of scale-invariant weights (``analysis.scale_invariant_weights``); None
            where they were not measured, and then only a small step is told.
        trained_steps: How many updates the model has behind it; None where that is not known.
        peak_rate: The largest rate of the run; at a tenth of it and below small steps are meant.
    """
    if rehearsal is None:
        return _unknown("No step was rehearsed; give the optimiser that trains the model.")
    weights = {n: m for n, m in rehearsal.moved.items() if _counts(m)}
    if not weights:
        broke = f": {rehearsal.broke} was not finite any more" if rehearsal.broke else ""
        return _unknown(f"No weight has a ratio of its update to itself{broke}.")
    free = {n: m for n, m in weights.items() if n in (invariant or ())}
    ordinary = {n: m for n, m in weights.items() if n not in free}
    numbers = {
        "update / weight": _middle(ordinary),
        "of scale-invariant weights": _middle(free),
        "rate": rehearsal.rate,
        "steps": float(len(rehearsal.losses)),
    }
    numbers = {name: value for name, value in numbers.items() if not math.isnan(value)}
    if len(rehearsal.losses) < FEWEST:
        return _unknown(
            f"Steps that were rehearsed: {len(rehearsal.losses)}; {FEWEST} are needed.", numbers
        )
    meant = peak_rate is not None and rehearsal.rate <= BY_SCHEDULE * peak_rate
    if invariant is None:
        usual = "about 1e-3 is usual, and more where a norm follows: of which was not measured"
        return _judged(ordinary, LOW, math.inf, numbers, meant=meant, usual=usual)
    if len(ordinary) >= len(free):
        return _judged(ordinary, LOW, HIGH, numbers, meant=meant, usual="about 1e-3 is usual")
    return _of_invariant(free, numbers, trained_steps, meant=meant)


def _of_invariant(
    free: Mapping[str, Moved], numbers: dict[str, float], trained: int | None, *, meant: bool
) -> Verdict:
    expected = _expected(free)
    settled = _settled(free, trained)
    if math.isnan(expected) or settled < 1:
        why = (
            "its equilibrium is not known for this optimiser or without weight decay"
            if math.isnan(expected)
            else f"equilibrium, {short(expected)}, is far: {short(settled)} of the way in steps"
        )
        usual = f"most weights are scale-invariant, and {why}"
        return _judged(free, LOW, math.inf, numbers, meant=meant, usual=usual)
    usual = f"√(2ηw/(1 + b)) = {short(expected)} at equilibrium"
    low, high = expected / FACTOR, expected * FACTOR
    return _judged(free, low, high, numbers, meant=meant, usual=usual)


def _judged(
    weights: Mapping[str, Moved],
    low: float,
    high: float,
    numbers: dict[str, float],
    *,
    meant: bool,
    usual: str,
) -> Verdict:
    found = _middle(weights)
    level, says, remedy = (
        Level.PASS,
        f"A step changes a weight by {short(found)} of its length.",
        None,
    )
    if found < low and meant:
        level = Level.INFO
        says += " That is little, as its schedule wants it: the rate is far below its peak."
    elif found < low:
        level = Level.WARN
        says += f" That is little ({short(low)} at least is usual), so it learns slowly."
        remedy = HIGHER
    elif found > high:
        level = Level.WARN
        says += f" That is much ({short(high)} at most is usual), so it forgets quickly."
        remedy = joined((LOWER, WARMER), by="; or ")
    ratios = {name: moved.ratio for name, moved in weights.items()}
    outside = [n for n, ratio in ratios.items() if not low <= ratio <= high]
    order = sorted(outside, key=lambda n: -abs(math.log(max(ratios[n], STILL) / max(found, STILL))))
    top = f" to {short(high)}" if math.isfinite(high) else " or more"
    return _verdict(
        level=level,
        says=says,
        numbers=numbers,
        reference=usual,
        band=f"{short(low)}{top}",
        where=tuple(order) if level is Level.WARN else (),
        remedy=remedy,
        confidence="a rule of thumb, a decade wide" if level is Level.WARN else "",
    )


def _counts(moved: Moved) -> bool:
    return moved.dimensions > 1 and moved.length > 0 and not math.isnan(moved.ratio)


def _middle(weights: Mapping[str, Moved]) -> float:
    return median(m.ratio for m in weights.values()) if weights else math.nan


def _expected(free: Mapping[str, Moved]) -> float:
    found = [
        equilibrium_rotation(m.rate, m.decay, m.momentum) for m in free.values() if m.decay > 0
    ]
    return median(found) if 2 * len(found) > len(free) else math.nan


def _settled(free: Mapping[str, Moved], trained: int | None) -> float:
    """How far on the way to equilibrium the steps have come, 1 where they reach it."""
    if trained is None:
        return 0.0
    return median(2 * m.rate * m.decay * trained if m.decay > 0 else 0.0 for m in free.values())


def _unknown(says: str, numbers: dict[str, float] | None = None) -> Verdict:
    return _verdict(level=Level.UNKNOWN, says=says, numbers=numbers or {})
