"""The contract: an update rule written slowly in float64, numpy only.

A formula keeps its state in plain arrays and shares no code with the rule it stands for. Most rules
treat each tensor alone; those are functions that :class:`EachTensor` calls.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Arrays = Mapping[str, Array]
Ask = Callable[[Arrays], Arrays]
State = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the strategy says of one parameter at one step.

    Args:
        rate: η of this parameter.
        decay: λ, 0 where none is due.
        role: The part it plays.
    """

    rate: float
    decay: float
    role: str


Settings = Mapping[str, Setting]
Update = Callable[[Any, State, Array, Array, Setting], Array]
EVALUATED = "evaluated"  # what is evaluated in the place of w, in a state


class Formula(ABC):
    """A rule with its state."""

    @abstractmethod
    def step(self, weights: Arrays, ask: Ask, settings: Settings) -> dict[str, Array]:
        """Give the weights after one step.

        Args:
            weights: Before it, by name.
            ask: Gives the gradients of this step at any weights.
            settings: By name.
        """

    def evaluated(self, weights: Arrays) -> Arrays:
        """Give what is evaluated once the steps have come to such weights: these, unless said."""
        return weights


@final
class EachTensor(Formula):
    """A rule that treats each tensor alone.

    Args:
        rule: The description.
        update: (rule, state, w, g, setting) → the new w; ``state`` starts empty.
    """

    def __init__(self, rule: Any, update: Update):
        self.rule, self.update = rule, update
        self.states: dict[str, State] = {}

    def step(self, weights: Arrays, ask: Ask, settings: Settings) -> dict[str, Array]:
        """Update them one by one."""
        gradients = ask(weights)
        return {
            name: self.update(
                self.rule, self.states.setdefault(name, {}), w, gradients[name], settings[name]
            )
            for name, w in weights.items()
        }

    def evaluated(self, weights: Arrays) -> Arrays:
        """Give what the states hold."""
        return {name: self.states[name].get(EVALUATED, w) for name, w in weights.items()}


def mean(state: State, name: str, beta: float, value: Array) -> Array:
    """Move an exponential mean that starts at zero: m ← βm + (1 − β)x."""
    state[name] = beta * state.get(name, np.zeros_like(value)) + (1 - beta) * value
    return state[name]


def count(state: State) -> int:
    """Count the calls, from 1."""
    state["count"] = state.get("count", 0) + 1
    return state["count"]
