"""Optimisers made of optimisers: one that does more around another, and several side by side.

Both share the parameter groups and the state of those they are made of, so that the loop finds the
rates where it looks for them and a checkpoint holds everything.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import torch
from torch import nn
from torch.optim import Optimizer

Closure = Callable[[], Any]


def asked(closure: Closure | None) -> Any:
    """Give what a closure gives, with gradients enabled; None of none."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


class Wrapping(Optimizer):
    """An optimiser around another one.

    Args:
        base: What takes the steps.
    """

    def __init__(self, base: Optimizer):
        super().__init__(base.param_groups, {})
        self.base = base
        self.param_groups, self.state = base.param_groups, base.state

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All parameters, in the order of the groups."""
        return [p for group in self.param_groups for p in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """Give the state of the one inside, which is all there is unless a member says more."""
        return self.base.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up a state."""
        self.base.load_state_dict(dict(state_dict))
        self.param_groups, self.state = self.base.param_groups, self.base.state


def hand_down(optimiser: Optimizer, state: Any, groups: list[dict[str, Any]]) -> None:
    """Let an optimiser, and each that it is around, work with this state and these groups."""
    optimiser.state, optimiser.param_groups = state, groups
    if isinstance(optimiser, Wrapping):
        hand_down(optimiser.base, state, groups)


@final
class Beside(Optimizer):
    """Several optimisers, each over parameters of its own, that take their steps together.

    Args:
        parts: They; their groups follow each other.
    """

    def __init__(self, parts: Sequence[Optimizer]):
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts = tuple(parts)
        self._share()

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Take one step."""
        loss = asked(closure)
        for part in self.parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up a state."""
        super().load_state_dict(dict(state_dict))
        self._share()

    def _share(self) -> None:
        rest = list(self.param_groups)
        for part in self.parts:
            count = len(part.param_groups)
            hand_down(part, self.state, rest[:count])  # no parameter is in two of them
            rest = rest[count:]
