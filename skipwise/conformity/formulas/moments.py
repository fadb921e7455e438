"""Adam and its relatives: a mean of gradients over the root of a mean of squares."""

import math

import numpy as np

from skipwise.conformity.formulas.formula import Array, Setting, State, count, mean
from skipwise.strategies import ADOPT, MARS, Adam, AdamW, CautiousAdamW, NAdam, NAdamW, RAdam


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


def cautious_adamw(
    rule: CautiousAdamW, state: State, w: Array, g: Array, setting: Setting
) -> Array:
    """Cautious AdamW: numbers whose update goes up the gradient stay, the others go farther.

    Source: Liang et al. (2024), algorithm 1, the share of those that move counted as s₀ at least.
    """
    update = _direction(rule, state, g)
    goes_down = np.where(np.sign(update) * np.sign(g) > 0, 1.0, 0.0)
    share = max(float(goes_down.sum()) / g.size, rule.least)
    return w - setting.rate * setting.decay * w - setting.rate * update * goes_down / share


def _direction(rule: Adam | AdamW | CautiousAdamW, state: State, g: Array) -> Array:
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


def adopt(rule: ADOPT, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """ADOPT: the mean of gradients over the root of the mean square before them, clipped.

    Source: Taniguchi et al. (2024), algorithm 2, cₜ = tᵃ; the first step begins the square.
    """
    kept = w - setting.rate * setting.decay * w
    if "v" not in state:
        state["v"] = g * g
        return kept
    most = count(state) ** rule.growth
    scaled = g / np.maximum(np.sqrt(state["v"]), rule.epsilon)
    m = mean(state, "m", rule.beta1, np.maximum(np.minimum(scaled, most), -most))
    mean(state, "v", rule.beta2, g * g)
    return kept - setting.rate * m


def mars(rule: MARS, state: State, w: Array, g: Array, setting: Setting) -> Array:
    """MARS: AdamW of a gradient to which a share of its change is added, of length one at most.

    Source: Yuan et al. (2024), algorithm 2, approximate; 10⁻¹⁵ under the root and ε beside √v, as
    the description says; vectors by AdamW.
    """
    before, state["before"] = state.get("before", np.zeros_like(g)), g
    if w.ndim < 2:
        beta1, beta2, rate, seen = rule.vector_beta1, rule.vector_beta2, rule.share, g
    else:
        beta1, beta2, rate = rule.beta1, rule.beta2, 1.0
        seen = g + rule.correction * beta1 / (1 - beta1) * (g - before)
        seen = seen / max(1.0, math.sqrt(float((seen * seen).sum())))
    t, rate = count(state), rate * setting.rate
    m, v = mean(state, "m", beta1, seen), mean(state, "v", beta2, seen * seen)
    root = (np.sqrt(v + 1e-15) + rule.epsilon) / math.sqrt(1 - beta2**t)
    return w - rate * (setting.decay * w + m / (1 - beta1**t) / root)


def _decayed(decoupled: bool, w: Array, g: Array, setting: Setting) -> tuple[Array, Array]:
    """Take the decay from the weights, or into the gradient."""
    if decoupled:
        return w - setting.rate * setting.decay * w, g
    return w, g + setting.decay * w
