"""Gradient descent, with momentum and Nesterov's."""

import numpy as np

from skipwise.conformity.formulas.formula import Array, Setting, State
from skipwise.strategies import SGD


def descent(rule: SGD, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """Momentum: v ← μv + g, w ← w − ηv, or w − η(g + μv); λw is part of g.

    Source: Sutskever et al. (2013), in the form with the rate outside the velocity.
    """
    g = g + setting.decay * w
    v = state["velocity"] = rule.momentum * state.get("velocity", np.zeros_like(w)) + g
    return w - setting.rate * (g + rule.momentum * v if rule.nesterov else v)
