"""Adam and its relatives: a mean of gradients over the root of a mean of squares."""

import numpy as np

from skipwise.conformity.formulas.formula import Array, Setting, State, count, mean
from skipwise.strategies import Adam, AdamW


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
