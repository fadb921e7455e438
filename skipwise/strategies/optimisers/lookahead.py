"""Lookahead: fast weights run ahead, slow ones follow a part of the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from skipwise.strategies.optimisers.descent import SGD
from skipwise.strategies.optimisers.optimiser import Groups, Optimiser, check_positive
from skipwise.strategies.optimisers.wrapping import Closure, Wrapping

SLOW, TAKEN = "slow", "lookahead_steps"


@dataclass(frozen=True, kw_only=True)
class Lookahead(Optimiser):
    """The base takes k steps with w; then s ← s + α(w − s) and w ← s.

    Evaluated, and kept, are the slow weights s, which the algorithm returns, with BatchNorm
    statistics of their own. The base's own state goes on over the jump.

    Args:
        base: The rule of the fast weights w.
        steps: k.
        share: α, in (0, 1].

    Source: Zhang et al. (2019), "Lookahead optimizer: k steps forward, 1 step back", algorithm 1.
    """

    base: Optimiser = field(default_factory=lambda: SGD(momentum=0.9, nesterov=True))
    steps: int = 5
    share: float = 0.5

    def remarks(self, size: int, examples: int, steps: int) -> tuple[str, ...]:
        """Say so where the slow weights never move."""
        if steps >= self.steps:
            return ()
        return (
            f"the slow weights of Lookahead, which are evaluated, move every {self.steps} steps,"
            f" and the run has {steps}: its score is that of the start",
        )

    def __post_init__(self):
        super().__post_init__()
        check_positive(steps=self.steps)
        if not 0 < self.share <= 1:
            raise ValueError(f"share must lie in (0, 1], got {self.share}")
        if self.base.evaluates_others or not self.base.can_skip:
            raise ValueError(
                f"Lookahead needs a base of simple steps, and {type(self.base).__name__} averages"
                " its weights or searches along a line; take another"
            )

    @property
    def asks_again(self) -> bool:
        """As the base does."""
        return self.base.asks_again

    @property
    def evaluates_others(self) -> bool:
        """The slow weights."""
        return True

    def evaluated(self, optimiser: Optimizer) -> dict[nn.Parameter, Tensor]:
        """Give the slow weights."""
        assert isinstance(optimiser, LaggingBehind)
        return dict(optimiser.slow)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make the optimiser around that of the base."""
        return LaggingBehind(self.base.build(groups, rate=rate), self.steps, self.share)


@final
class LaggingBehind(Wrapping):
    """The optimiser of :class:`Lookahead`.

    Args:
        base: What takes the steps.
        every: Steps from one jump to the next.
        share: How far the slow weights follow.
    """

    def __init__(self, base: Optimizer, every: int, share: float):
        super().__init__(base)
        self.every, self.share, self.taken = every, share, 0
        self.slow: dict[nn.Parameter, Tensor] = {}

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Take one step of the base, and follow it where that is due."""
        if not self.slow:
            self.slow = {p: p.clone() for p in self.parameters}
        loss = self.base.step(closure)  # pyright: ignore[reportCallIssue, reportArgumentType]
        self.taken += 1
        if self.taken % self.every == 0:
            for fast, slow in self.slow.items():
                if fast.grad is None:  # it is frozen, and the others learn beside it as it is
                    slow.copy_(fast)
                else:
                    fast.copy_(slow.lerp_(fast, self.share))
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Give the base's state, with the slow weights beside it."""
        inner = self.base.state_dict()
        state = {number: dict(kept) for number, kept in inner["state"].items()}
        for number, parameter in enumerate(self.parameters):
            if parameter in self.slow:
                state.setdefault(number, {})[SLOW] = self.slow[parameter]
        return {**inner, "state": state, TAKEN: self.taken}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up a state.

        Raises:
            ValueError: If it is of another rule.
        """
        if TAKEN not in state_dict:
            raise ValueError("there are no slow weights in it")
        every = state_dict["state"]
        own = {number: kept[SLOW] for number, kept in every.items() if SLOW in kept}
        inner = {
            number: {name: value for name, value in kept.items() if name != SLOW}
            for number, kept in every.items()
        }
        super().load_state_dict(
            {"state": {n: k for n, k in inner.items() if k},
             "param_groups": state_dict["param_groups"]}
        )  # fmt: skip
        self.taken = state_dict[TAKEN]
        self.slow = {
            parameter: own[number].detach().to(parameter, copy=True)
            for number, parameter in enumerate(self.parameters)
            if number in own
        }
