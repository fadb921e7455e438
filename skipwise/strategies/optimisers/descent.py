"""Gradient descent with and without momentum, and with the decay taken from the weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch.optim import Optimizer

from skipwise.strategies.optimisers.optimiser import (
    Groups,
    Optimiser,
    can_fuse,
    check_memories,
    check_nesterov,
)
from skipwise.strategies.optimisers.wrapping import asked

VELOCITY = "momentum_buffer"  # torch's word


@dataclass(frozen=True, kw_only=True)
class SGD(Optimiser):
    """v ← μv + g, w ← w − ηv; Nesterov: w ← w − η(g + μv). The decay λw is part of g.

    Args:
        momentum: μ, in [0, 1).
        nesterov: Look ahead along the velocity; needs momentum.

    Source: Sutskever et al. (2013), eq. 1 to 4, in torch's form (the rate outside the velocity).
    """

    is_elementwise: ClassVar[bool] = True

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_memories(momentum=self.momentum)
        check_nesterov(self.momentum, nesterov=self.nesterov)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch.optim.SGD."""
        fused = can_fuse(groups)
        return Descent(groups, lr=rate, momentum=self.momentum, nesterov=self.nesterov, fused=fused)


@dataclass(frozen=True, kw_only=True)
class SGDW(Optimiser):
    """v ← μv + g, w ← w − ηλw − ηv; Nesterov: w ← w − ηλw − η(g + μv).

    The decay is added after the momentum, so it is not summed up in v: λ here acts as SGD's does at
    λ(1 − μ), roughly.

    Args:
        momentum: μ, in [0, 1).
        nesterov: Look ahead along the velocity; needs momentum.

    Source: Loshchilov, Hutter (2019), algorithm 1, with optax's order, ``trace`` and then
    ``add_decayed_weights``, as in AlgoPerf's "Generalized Adam". Differs: λ is multiplied by the
    rate η, as there, and the paper's rate inside the velocity is outside, as in torch.
    """

    is_elementwise: ClassVar[bool] = True

    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_memories(momentum=self.momentum)
        check_nesterov(self.momentum, nesterov=self.nesterov)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make the optimiser."""
        fused = can_fuse(groups)
        return DecayedDescent(
            groups, lr=rate, momentum=self.momentum, nesterov=self.nesterov, fused=fused
        )


class Descent(torch.optim.SGD):
    """torch.optim.SGD whose fused kernel takes parameters that get their first gradient later.

    Velocities of zero stand in for those that are missing beside others, which is what they are.
    """

    computes: ClassVar[type[Optimizer]] = torch.optim.SGD

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step."""
        loss = asked(closure)
        for group in self.param_groups:
            learning = [p for p in group["params"] if p.grad is not None]
            new = [p for p in learning if self.state[p].get(VELOCITY) is None]
            if group["momentum"] and group["fused"] and 0 < len(new) < len(learning):
                for parameter in new:
                    self.state[parameter][VELOCITY] = torch.zeros_like(parameter)
        super().step()
        return loss


@final
class DecayedDescent(Descent):
    """Descent that takes ``weight_decay`` from the weights, not into the gradient."""

    computes: ClassVar[type[Optimizer]] = Optimizer  # none of torch's

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step."""
        loss = asked(closure)
        decays = [group["weight_decay"] for group in self.param_groups]
        for group, decay in zip(self.param_groups, decays, strict=True):
            for parameter in group["params"]:
                if decay and parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * decay)
            group["weight_decay"] = 0.0  # torch's own would go through the momentum
        try:
            super().step()
        finally:
            for group, decay in zip(self.param_groups, decays, strict=True):
                group["weight_decay"] = decay
        return loss
