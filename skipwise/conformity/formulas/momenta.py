"""Other uses of the gradient's past: Lion and Adan; and steps as long as the layer: LARS, LAMB."""

import numpy as np

from skipwise.conformity.formulas.formula import Array, Setting, State, count, mean
from skipwise.strategies import LAMB, LARS, Adan, Lion


def lion(rule: Lion, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """Lion: the sign of a mean; the mean that is kept has another memory.

    Source: Chen et al. (2023), algorithm 2.
    """
    m = state.get("m", np.zeros_like(g))
    state["m"] = rule.beta2 * m + (1 - rule.beta2) * g
    direction = np.sign(rule.beta1 * m + (1 - rule.beta1) * g)
    return w - setting.rate * (direction + setting.decay * w)


def adan(rule: Adan, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """Adan: means of the gradient, of its change, and of the square of both together.

    Source: Xie et al. (2022), algorithm 1, β for 1 − β, all means corrected for their start.
    """
    t = count(state)
    change = g - state.get("before", g)
    state["before"] = g
    m = mean(state, "m", rule.beta1, g) / (1 - rule.beta1**t)
    d = mean(state, "d", rule.beta2, change) / (1 - rule.beta2**t)
    n = mean(state, "n", rule.beta3, (g + rule.beta2 * change) ** 2) / (1 - rule.beta3**t)
    moved = w - setting.rate * (m + rule.beta2 * d) / (np.sqrt(n) + rule.epsilon)
    return moved / (1 + setting.rate * setting.decay)


def lars(rule: LARS, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """LARS: momentum of gradients as long as their layer; of vectors and zeros as they are.

    Source: You, Gitman, Ginsburg (2017), algorithm 1, the rate outside the velocity.
    """
    pushed = g + setting.decay * w
    if w.ndim > 1:
        length, of_gradient = float(np.linalg.norm(w)), float(np.linalg.norm(g))
        below = of_gradient + setting.decay * length
        counts = length > 0 and below > 0
        pushed = pushed * (rule.trust * length / below if counts else 1.0)
    v = state["velocity"] = rule.momentum * state.get("velocity", np.zeros_like(g)) + pushed
    return w - setting.rate * (pushed + rule.momentum * v if rule.nesterov else v)


def lamb(rule: LAMB, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """LAMB: Adam's step, decay included, as long as its layer; of norms, biases, scales as it is.

    Source: You et al. (2020), algorithm 2 with φ(z) = z, without correction of bias; ε beside the
    length of the step too, as the description says.
    """
    m, v = mean(state, "m", rule.beta1, g), mean(state, "v", rule.beta2, g * g)
    u = m / (np.sqrt(v) + rule.epsilon) + setting.decay * w
    length, of_update = float(np.linalg.norm(w)), float(np.linalg.norm(u))
    is_layer = setting.role in ("stem", "branch", "head")
    counts = is_layer and length > 0 and of_update > 0
    trust = length / (of_update + rule.epsilon) if counts else 1.0
    return w - setting.rate * trust * u
