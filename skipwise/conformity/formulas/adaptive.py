"""Rates of their own for every number or row: RMSprop, Adagrad, Adafactor."""

import math

import numpy as np

from skipwise.conformity.formulas.formula import Array, Setting, State, count, mean
from skipwise.strategies import Adafactor, Adagrad, RMSprop


def rmsprop(rule: RMSprop, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """RMSprop: the gradient over the root of a mean of squares, through a momentum.

    Source: Tieleman, Hinton (2012); centred: Graves (2013), eq. 38 to 45.
    """
    g = g + setting.decay * w
    variance = mean(state, "square", rule.memory, g * g)
    if rule.centred:
        variance = variance - mean(state, "mean", rule.memory, g) ** 2
    pushed = g / (np.sqrt(variance) + rule.epsilon)
    b = state["velocity"] = rule.momentum * state.get("velocity", np.zeros_like(g)) + pushed
    return w - setting.rate * b


def adagrad(rule: Adagrad, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """Adagrad: the gradient over the root of the sum of all squares so far.

    Source: Duchi, Hazan, Singer (2011), figure 1, diagonal.
    """
    g = g + setting.decay * w
    total = state["total"] = state.get("total", np.full_like(g, rule.start)) + g * g
    rate = setting.rate / (1 + (count(state) - 1) * rule.rate_decay)
    return w - rate * g / (np.sqrt(total) + rule.epsilon)


def adafactor(rule: Adafactor, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """Adafactor: squares known by their row and column means, steps relative to the weights.

    Source: Shazeer, Stern (2018), algorithm 4 (matrices) and 5 (vectors); the rate is the smaller
    one of η and 1/√t.
    """
    t = count(state)
    memory = 1 - t**rule.decay_power
    least = np.finfo(np.float64).eps if rule.least is None else rule.least
    if g.ndim > 1:
        rows = mean(state, "rows", memory, (g * g).mean(-1, keepdims=True))
        columns = mean(state, "columns", memory, (g * g).mean(-2, keepdims=True))
        square = rows * columns / np.maximum(rows.mean(-2, keepdims=True), least)
    else:
        square = mean(state, "square", memory, g * g)
    update = g / np.maximum(np.sqrt(square), least)
    update = update / max(1.0, _rms(update) / rule.clip)
    relative = max(rule.least_scale, _rms(w)) * min(setting.rate, 1 / math.sqrt(t))
    return w - setting.rate * setting.decay * w - relative * update


def _rms(x: Array) -> float:
    return math.sqrt(float((x * x).mean()))
