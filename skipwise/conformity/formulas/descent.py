"""Gradient descent, with momentum and Nesterov's, and with the decay apart."""

import numpy as np

from skipwise.conformity.formulas.formula import Array, Setting, State
from skipwise.strategies import SGD, SGDW


def descent(rule: SGD, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """Momentum: v ← μv + g, w ← w − ηv, or w − η(g + μv); λw is part of g.

    Source: Sutskever et al. (2013), in the form with the rate outside the velocity.
    """
    return w - setting.rate * _ahead(rule, state, g + setting.decay * w)


def decayed_descent(rule: SGDW, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """Momentum of the gradient alone; λw joins after it.

    Source: Loshchilov, Hutter (2019), algorithm 1, λ times η.
    """
    return w - setting.rate * (_ahead(rule, state, g) + setting.decay * w)


def _ahead(rule: SGD | SGDW, state: State, g: Array) -> Array:
    v = state["velocity"] = rule.momentum * state.get("velocity", np.zeros_like(g)) + g
    return g + rule.momentum * v if rule.nesterov else v
