"""Rules that find their own rate (Prodigy) or need no schedule (Schedule-Free)."""

import math
from typing import final

import numpy as np

from skipwise.conformity.formulas.formula import (
    EVALUATED,
    Array,
    Arrays,
    Ask,
    Formula,
    Setting,
    Settings,
    State,
    count,
    mean,
)
from skipwise.strategies import Prodigy, ScheduleFreeAdamW, ScheduleFreeSGD


@final
class Estimating(Formula):
    """Prodigy: Adam with rate γd, d an estimate of the distance from the start to the minimum.

    Source: Mishchenko, Defazio (2024), algorithm 4. Its factor 1 − √β₂ is the same in r and s.

    Args:
        rule: The description.
    """

    def __init__(self, rule: Prodigy):
        self.rule, self.d, self.numerator, self.taken = rule, rule.start, 0.0, 0
        self.start: dict[str, Array] = {}
        self.states: dict[str, State] = {}

    def step(self, weights: Arrays, ask: Ask, settings: Settings) -> dict[str, Array]:
        """Estimate d anew, and step with that of before."""
        rule, gradients, d = self.rule, ask(weights), self.d
        self.start = self.start or dict(weights)
        gamma = next(iter(settings.values())).rate
        if rule.corrected:
            self.taken += 1
            gamma *= math.sqrt(1 - rule.beta2**self.taken) / (1 - rule.beta1**self.taken)
        memory = math.sqrt(rule.beta2)
        self.numerator *= memory
        size = 0.0
        for name, g in gradients.items():
            state = self.states.setdefault(name, {})
            way = float((g * (self.start[name] - weights[name])).sum())
            self.numerator += gamma * d * d * way
            weight = d * d * (1.0 if rule.safeguarded else gamma)
            state["s"] = memory * state.get("s", np.zeros_like(g)) + weight * g
            size += float(np.abs(state["s"]).sum())
            mean(state, "m", rule.beta1, d * g)
            mean(state, "v", rule.beta2, d * d * g * g)
        if size == 0:
            return dict(weights)
        self.d = max(d, rule.coefficient * self.numerator / size)
        return {name: self._moved(name, w, gamma * d, settings) for name, w in weights.items()}

    def _moved(self, name: str, w: Array, rate: float, settings: Settings) -> Array:
        state = self.states[name]
        direction = state["m"] / (np.sqrt(state["v"]) + self.d * self.rule.epsilon)
        return w - rate * (settings[name].decay * w + direction)


def schedule_free_sgd(
    rule: ScheduleFreeSGD, state: State, w: Array, g: Array, setting: Setting
) -> Array:
    """Schedule-Free: z takes the steps, x is their mean, and y between both is w.

    Source: Defazio et al. (2024), eq. 3 to 5, the mean weighted by the squares of the rates.
    """
    return _free(rule.beta, state, w, g, setting)


def schedule_free_adamw(
    rule: ScheduleFreeAdamW, state: State, w: Array, g: Array, setting: Setting
) -> Array:
    """Schedule-Free with Adam's preconditioner.

    Source: Defazio et al. (2024) in the authors' later code, v corrected and the rate not, with
    10⁻¹⁵ under the root as the description says.
    """
    t = count(state)
    v = mean(state, "v", rule.beta2, g * g) / (1 - rule.beta2**t)
    return _free(rule.beta1, state, w, g / (np.sqrt(v + 1e-15) + rule.epsilon), setting)


def _free(beta: float, state: State, w: Array, direction: Array, setting: Setting) -> Array:
    z, x = state.get("z", w), state.get(EVALUATED, w)
    state["highest"] = max(state.get("highest", 0.0), setting.rate)
    weight = state["highest"] ** 2
    state["weights"] = state.get("weights", 0.0) + weight
    share = weight / state["weights"] if weight else 0.0
    state["z"] = z - setting.rate * (direction + setting.decay * w)
    state[EVALUATED] = (1 - share) * x + share * state["z"]
    return (1 - beta) * state["z"] + beta * state[EVALUATED]
