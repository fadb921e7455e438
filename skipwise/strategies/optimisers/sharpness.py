"""Sharpness-aware minimisation: the gradient at the worst weights near by, for any rule."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from skipwise.strategies.optimisers.descent import SGD
from skipwise.strategies.optimisers.optimiser import Groups, Optimiser, check_positive
from skipwise.strategies.optimisers.wrapping import Closure, Wrapping, asked

TINY = 1e-12
Ascent = Callable[[Sequence[nn.Parameter]], list[Tensor]]


@dataclass(frozen=True, kw_only=True)
class SharpnessAware(Optimiser):
    """What SAM and ASAM have in common: g ← ∇L(w + e), and then the step of the base from w.

    Both gradients are of one batch with the same random numbers, and cost two passes. The loss and
    the gradient's norm that are reported are those at w.

    Args:
        base: The rule that takes the step.
        radius: ρ.
    """

    asks_again: ClassVar[bool] = True

    base: Optimiser = field(default_factory=lambda: SGD(momentum=0.9, nesterov=True))
    radius: float = 0.05

    def __post_init__(self):
        check_positive(radius=self.radius)
        if self.base.asks_again:
            raise ValueError(
                f"{type(self).__name__} asks for the gradient twice, and"
                f" {type(self.base).__name__} does so itself; take SGD or AdamW as its base"
            )

    @property
    def kept_in_groups(self) -> tuple[str, ...]:
        """Those of the base."""
        return self.base.kept_in_groups

    @property
    def evaluates_others(self) -> bool:
        """As the base does."""
        return self.base.evaluates_others

    def evaluated(self, optimiser: Optimizer) -> dict[nn.Parameter, Tensor]:
        """Give the weights that the base evaluates."""
        assert isinstance(optimiser, Climbing)
        return self.base.evaluated(optimiser.base)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make the optimiser around that of the base."""
        return Climbing(self.base.build(groups, rate=rate), self.ascent)

    @abstractmethod
    def ascent(self, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Give e for parameters that have a gradient."""


@dataclass(frozen=True, kw_only=True)
class SAM(SharpnessAware):
    """e = ρ g/‖g‖, the norm over all parameters together.

    Source: Foret et al. (2021), "Sharpness-aware minimization", algorithm 1 with p = 2.
    """

    def ascent(self, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Give ρ g/‖g‖."""
        found = [p.grad for p in parameters if p.grad is not None]
        scale = self.radius / (get_total_norm(found) + TINY)
        return [g * scale for g in found]


@dataclass(frozen=True, kw_only=True)
class ASAM(SharpnessAware):
    """e = ρ T²g/‖Tg‖ with T = |w| + η for weights, T = 1 for vectors, so that scale does not count.

    Args:
        least: η, so that small weights move too.

    Source: Kwon et al. (2021), "ASAM", algorithm 1, p = 2, element by element; vectors (biases and
    norms) stay out of T as in the authors' code.
    """

    radius: float = 0.5
    least: float = 0.01

    def __post_init__(self):
        super().__post_init__()
        check_positive(least=self.least)

    def ascent(self, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Give ρ T²g/‖Tg‖."""
        scales = [p.abs() + self.least if p.dim() > 1 else torch.ones_like(p) for p in parameters]
        scaled = [t * p.grad for t, p in zip(scales, parameters, strict=True) if p.grad is not None]
        length = self.radius / (get_total_norm(scaled) + TINY)
        return [t * g * length for t, g in zip(scales, scaled, strict=True)]


@final
class Climbing(Wrapping):
    """The optimiser of both; the weights are put back whatever happens on the way.

    Args:
        base: What takes the step.
        ascent: (parameters with gradients) → e.
    """

    def __init__(self, base: Optimizer, ascent: Ascent):
        super().__init__(base)
        self.ascent = ascent

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Take one step; give the loss before it.

        Raises:
            TypeError: If there is no closure to ask for the second gradient.
        """
        if closure is None:
            raise TypeError("this rule needs the gradient twice; call step with a closure")
        loss = asked(closure)
        climbed = [p for p in self.parameters if p.grad is not None]
        before = [p.clone() for p in climbed]
        try:
            for parameter, way in zip(climbed, self.ascent(climbed), strict=True):
                parameter.add_(way)
            asked(closure)
        finally:
            for parameter, kept in zip(climbed, before, strict=True):
                parameter.copy_(kept)
        self.base.step()
        return loss
