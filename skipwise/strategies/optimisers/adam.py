"""Adam and its kin: the mean gradient over the root of the mean square."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from skipwise.strategies.optimisers.optimiser import (
    Groups,
    Optimiser,
    can_fuse,
    check_memories,
    check_not_negative,
    check_positive,
)
from skipwise.strategies.optimisers.wrapping import asked


@dataclass(frozen=True, kw_only=True)
class MomentEstimating(Optimiser):
    """What they have in common.

    With gradient g, and t counted from 1: m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g²,
    m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).

    Args:
        beta1: Memory of the mean gradient.
        beta2: Memory of the mean square.
        epsilon: ε.
    """

    is_elementwise: ClassVar[bool] = True

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self):
        super().__post_init__()
        check_memories(beta1=self.beta1, beta2=self.beta2)
        check_positive(epsilon=self.epsilon)

    def options(self) -> dict[str, Any]:
        """Give torch's arguments."""
        return {"betas": (self.beta1, self.beta2), "eps": self.epsilon}


@dataclass(frozen=True, kw_only=True)
class Adam(MomentEstimating):
    """w ← w − η m̂/(√v̂ + ε), with the decay λw as part of the gradient.

    Source: Kingma, Ba (2015), algorithm 1.
    """

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch.optim.Adam."""
        return torch.optim.Adam(groups, lr=rate, fused=can_fuse(groups), **self.options())


@dataclass(frozen=True, kw_only=True)
class AdamW(MomentEstimating):
    """Adam whose decay is taken from the weights: w ← w − ηλw − η m̂/(√v̂ + ε).

    Source: Loshchilov, Hutter (2019), algorithm 2. Differs: torch multiplies λ by the rate η.
    """

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch.optim.AdamW."""
        return torch.optim.AdamW(groups, lr=rate, fused=can_fuse(groups), **self.options())


@dataclass(frozen=True, kw_only=True)
class NAdam(MomentEstimating):
    """w ← w − η (μₜ₊₁ m/(1 − Πₜ₊₁) + (1 − μₜ) g/(1 − Πₜ)) / (√v̂ + ε).

    Here μₜ = β₁(1 − ½·0.96^(tψ)) and Πₜ is the product of μ₁ … μₜ. This is not the NAdamW of
    AlgoPerf and timm, which is :class:`NAdamW`.

    Args:
        momentum_decay: ψ; 0 holds μₜ at β₁/2.
        decoupled: Whether the decay is taken from the weights, w ← w − ηλw, instead of being part
            of the gradient.

    Source: Dozat (2016), "Incorporating Nesterov momentum into Adam", algorithm 8 with its
    schedule of μ, in torch's form.
    """

    momentum_decay: float = 4e-3
    decoupled: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_not_negative(momentum_decay=self.momentum_decay)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch.optim.NAdam."""
        return torch.optim.NAdam(
            groups,
            lr=rate,
            momentum_decay=self.momentum_decay,
            decoupled_weight_decay=self.decoupled,
            **self.options(),
        )


@dataclass(frozen=True, kw_only=True)
class RAdam(MomentEstimating):
    """w ← w − η rₜ m̂/(√v̂ + ε) where the variance of v̂ is known, else w ← w − η m̂.

    ρ∞ = 2/(1 − β₂) − 1, ρₜ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ), known if ρₜ > 5, and
    rₜ² = (ρₜ − 4)(ρₜ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρₜ).

    Args:
        decoupled: Whether the decay is taken from the weights, w ← w − ηλw, instead of being part
            of the gradient.

    Source: Liu et al. (2020), "On the variance of the adaptive learning rate and beyond", algorithm
    2, in torch's form. Differs: 5 where the paper has 4, as in the authors' code; torch adds ε to
    √v before it divides by √(1 − β₂ᵗ).
    """

    decoupled: bool = False

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch.optim.RAdam."""
        return torch.optim.RAdam(
            groups, lr=rate, decoupled_weight_decay=self.decoupled, **self.options()
        )


@dataclass(frozen=True, kw_only=True)
class NAdamW(MomentEstimating):
    """w ← w − ηλw − η (β₁m + (1 − β₁)g)/(1 − β₁ᵗ) / (√v̂ + ε), m and v already of this step.

    Adam's first moment taken one step further, without the schedule of torch's NAdam.

    Source: AlgoPerf's NadamW, the baseline of its external tuning; timm's ``nadamw``.
    """

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make the optimiser."""
        return LookingAhead(groups, {"lr": rate, "weight_decay": 0.0, **self.options()})


class MomentKeeping(Optimizer, ABC):
    """w ← w − ηλw − η d/(1 − β₁ᵗ) / (√v̂ + ε), with the direction d of a member.

    The step count t stands with each parameter.
    """

    @abstractmethod
    def direction(self, mean: Tensor, g: Tensor, group: dict[str, Any]) -> Tensor:
        """Give d from the mean m, which is already of this step, and the gradient."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step."""
        loss = asked(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, w: nn.Parameter, g: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[w], group["betas"]
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(w), torch.zeros_like(w)
        state["step"] += 1
        mean, square, t = state["mean"], state["square"], state["step"]
        mean.lerp_(g, 1 - beta1)
        square.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        root = square.div(1 - beta2**t).sqrt_().add_(group["eps"])
        w.mul_(1 - group["lr"] * group["weight_decay"])
        towards = self.direction(mean, g, group)
        w.addcdiv_(towards, root, value=-group["lr"] / (1 - beta1**t))


@final
class LookingAhead(MomentKeeping):
    """The optimiser of :class:`NAdamW`."""

    def direction(self, mean: Tensor, g: Tensor, group: dict[str, Any]) -> Tensor:
        """Give β₁m + (1 − β₁)g."""
        return mean.lerp(g, 1 - group["betas"][0])
