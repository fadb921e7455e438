"""Rules around another one: SAM, ASAM, GSAM, Lookahead."""

import math
from typing import Any, final

import numpy as np

from skipwise.conformity.formulas.formula import Array, Arrays, Ask, Formula, Settings
from skipwise.strategies import ASAM, GSAM, SAM, Lookahead

TINY = 1e-12  # so that without any gradient nothing is climbed


@final
class Sharp(Formula):
    """SAM and its kin: the base's step with the gradient gₚ at w + ρ T²g/‖Tg‖; T ≠ 1 in ASAM alone.

    GSAM takes gₚ − α (g − (⟨g, gₚ⟩/‖gₚ‖²) gₚ).

    Source: Foret et al. (2021), algorithm 1; Kwon et al. (2021), algorithm 1; Zhuang et al. (2022),
    algorithm 1.

    Args:
        rule: The description.
        base: The formula of the rule inside.
    """

    def __init__(self, rule: SAM | ASAM | GSAM, base: Formula):
        self.rule, self.base = rule, base

    def step(self, weights: Arrays, ask: Ask, settings: Settings) -> dict[str, Array]:
        """Climb, ask again, and step from where it was."""
        gradients = ask(weights)
        scale = {name: self._scale(w) for name, w in weights.items()}
        length = math.sqrt(sum(float((scale[n] ** 2 * g**2).sum()) for n, g in gradients.items()))
        above = {
            n: w + self.rule.radius * scale[n] ** 2 * gradients[n] / (length + TINY)
            for n, w in weights.items()
        }
        worst = ask(above)
        if isinstance(self.rule, GSAM):
            along = sum(float((gradients[n] * w).sum()) for n, w in worst.items())
            along /= sum(float((w**2).sum()) for w in worst.values()) + TINY**2
            across = {n: gradients[n] - along * w for n, w in worst.items()}
            worst = {n: w - self.rule.share * across[n] for n, w in worst.items()}
        return self.base.step(weights, lambda _: worst, settings)

    def evaluated(self, weights: Arrays) -> Arrays:
        """Give what the base evaluates."""
        return self.base.evaluated(weights)

    def _scale(self, w: Array) -> Array:
        if isinstance(self.rule, ASAM) and w.ndim > 1:
            return np.abs(w) + self.rule.least
        return np.ones_like(w)


@final
class Lagging(Formula):
    """Lookahead: every k steps s ← s + α(w − s), w ← s.

    Source: Zhang et al. (2019), algorithm 1.

    Args:
        rule: The description.
        base: The formula of the rule inside.
    """

    def __init__(self, rule: Lookahead, base: Formula):
        self.rule, self.base = rule, base
        self.taken, self.slow = 0, dict[str, Any]()

    def step(self, weights: Arrays, ask: Ask, settings: Settings) -> dict[str, Array]:
        """Step, and follow where that is due."""
        self.slow = self.slow or dict(weights)
        fast = self.base.step(weights, ask, settings)
        self.taken += 1
        if self.taken % self.rule.steps:
            return fast
        self.slow = {n: s + self.rule.share * (fast[n] - s) for n, s in self.slow.items()}
        return dict(self.slow)

    def evaluated(self, weights: Arrays) -> Arrays:
        """Give the slow weights."""
        return self.slow
