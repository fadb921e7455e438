"""Adam and its relatives: a mean of gradients over the root of a mean of squares."""

import math

import numpy as np

from skipwise.conformity.formulas.formula import Array, Setting, State, count, mean
from skipwise.strategies import Adam, AdamW, NAdam, NAdamW, RAdam


def adam(rule: Adam, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """Adam: w ← w − η m̂/(√v̂ + ε), λw part of g.

    Source: Kingma, Ba (2015), algorithm 1.
    """
    return w - setting.rate * _direction(rule, state, g + setting.decay * w)


def adamw(rule: AdamW, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """AdamW: w ← w − ηλw − η m̂/(√v̂ + ε).

    Source: Loshchilov, Hutter (2019), algorithm 2, λ times η.
    """
    return w - setting.rate * setting.decay * w - setting.rate * _direction(rule, state, g)


def _direction(rule: Adam | AdamW, state: State, g: Array) -> Array:
    t = count(state)
    m = mean(state, "m", rule.beta1, g) / (1 - rule.beta1**t)
    v = mean(state, "v", rule.beta2, g * g) / (1 - rule.beta2**t)
    return m / (np.sqrt(v) + rule.epsilon)


def nadam(rule: NAdam, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """NAdam: the mean and the newest gradient, weighed by momenta μₜ that rise with t.

    Source: Dozat (2016), algorithm 8, μₜ = β₁(1 − ½·0.96^(tψ)).
    """
    w, g = _decayed(rule.decoupled, w, g, setting)
    t = count(state)
    momenta = [_momentum(rule, s) for s in range(1, t + 2)]
    m = mean(state, "m", rule.beta1, g) / (1 - math.prod(momenta))
    v = mean(state, "v", rule.beta2, g * g) / (1 - rule.beta2**t)
    newest = g / (1 - math.prod(momenta[:-1]))
    ahead = momenta[-1] * m + (1 - momenta[-2]) * newest
    return w - setting.rate * ahead / (np.sqrt(v) + rule.epsilon)


def _momentum(rule: NAdam, t: int) -> float:
    return rule.beta1 * (1 - 0.5 * 0.96 ** (t * rule.momentum_decay))


def radam(rule: RAdam, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """RAdam: Adam's step, rectified, once the variance of √v̂ is known; before, the mean alone.

    Source: Liu et al. (2020), algorithm 2, with ρₜ > 5, and ε beside √v rather than √v̂.
    """
    w, g = _decayed(rule.decoupled, w, g, setting)
    t = count(state)
    m = mean(state, "m", rule.beta1, g) / (1 - rule.beta1**t)
    v = mean(state, "v", rule.beta2, g * g)
    longest = 2 / (1 - rule.beta2) - 1
    length = longest - 2 * t * rule.beta2**t / (1 - rule.beta2**t)
    if length <= 5:
        return w - setting.rate * m
    known = (length - 4) * (length - 2) * longest
    rectified = math.sqrt(known / ((longest - 4) * (longest - 2) * length))
    adapted = math.sqrt(1 - rule.beta2**t) / (np.sqrt(v) + rule.epsilon)
    return w - setting.rate * rectified * m * adapted


def nadamw(rule: NAdamW, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """NAdamW: AdamW whose first moment is taken one step further, β₁m + (1 − β₁)g.

    Source: Dozat (2016), algorithm 8 with constant momentum; the optimiser of AlgoPerf's baseline.
    """
    t = count(state)
    m = mean(state, "m", rule.beta1, g)
    ahead = (rule.beta1 * m + (1 - rule.beta1) * g) / (1 - rule.beta1**t)
    v = mean(state, "v", rule.beta2, g * g) / (1 - rule.beta2**t)
    kept = w - setting.rate * setting.decay * w
    return kept - setting.rate * ahead / (np.sqrt(v) + rule.epsilon)


def _decayed(decoupled: bool, w: Array, g: Array, setting: Setting) -> tuple[Array, Array]:
    """Take the decay from the weights, or into the gradient."""
    if decoupled:
        return w - setting.rate * setting.decay * w, g
    return w, g + setting.decay * w
