"""Sharpness-aware minimisation: the gradient at the worst weights near by, for any rule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from skipwise.strategies.optimisers.descent import SGD
from skipwise.strategies.optimisers.optimiser import Groups, Optimiser, check_positive
from skipwise.strategies.optimisers.wrapping import Closure, Wrapping, asked

TINY = 1e-12
Ascent = Callable[[Sequence[nn.Parameter]], list[Tensor]]
Turn = Callable[[Sequence[Tensor], Sequence[Tensor]], None]


@dataclass(frozen=True, kw_only=True)
class SharpnessAware(Optimiser):
    """What SAM and its kin have in common: g ← ∇L(w + e), and then the step of the base from w.

    Both gradients are of one batch with the same random numbers, and cost two passes. The loss and
    the gradient's norm that are reported are those at w.

    Args:
        base: The rule that takes the step.
        radius: ρ.
    """

    base: Optimiser = field(default_factory=lambda: SGD(momentum=0.9, nesterov=True))
    radius: float = 0.05

    def __post_init__(self):
        super().__post_init__()
        check_positive(radius=self.radius)
        if self.base.asks_again:
            raise ValueError(
                f"{type(self).__name__} asks for the gradient twice, and"
                f" {type(self.base).__name__} does so itself; take SGD or AdamW as its base"
            )

    @property
    def asks_again(self) -> bool:
        """At w, and at w + e."""
        return True

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
        return Climbing(self.base.build(groups, rate=rate), self.ascent, self.turn)

    @property
    def turn(self) -> Turn | None:
        """What turns the gradients at w + e, in place, by those at w; None leaves them."""
        return None

    def ascent(self, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Give e for parameters that have a gradient: ρ g/‖g‖, the norm over all together."""
        found = [p.grad for p in parameters if p.grad is not None]
        scale = self.radius / (get_total_norm(found) + TINY)
        return [g * scale for g in found]


@dataclass(frozen=True, kw_only=True)
class SAM(SharpnessAware):
    """e = ρ g/‖g‖, the norm over all parameters together.

    Source: Foret et al. (2021), "Sharpness-aware minimization", algorithm 1 with p = 2.
    """


@dataclass(frozen=True, kw_only=True)
class GSAM(SharpnessAware):
    """SAM whose step also lowers ∇L(w + e) − ∇L(w) along what of g is orthogonal to gₚ = ∇L(w + e).

    e = ρ g/‖g‖, g⊥ = g − (⟨g, gₚ⟩/‖gₚ‖²) gₚ over all parameters together, and the base steps by
    gₚ − α g⊥.

    Args:
        share: α.

    Source: Zhuang et al. (2022), "Surrogate gap minimization improves sharpness-aware training",
    algorithm 1; ρ and α are those that implementations take for ResNets. Differs: ρ stays, where
    the paper lowers it with the rate. Clipping shortens g and gₚ each, before they are turned, so
    the step may be a little longer than its limit.
    """

    radius: float = 0.04
    share: float = 0.01

    def __post_init__(self):
        super().__post_init__()
        check_positive(share=self.share)

    @property
    def turn(self) -> Turn:
        """What makes gₚ − α g⊥ = (1 + α⟨g, gₚ⟩/‖gₚ‖²) gₚ − α g of gₚ."""

        def turned(first: Sequence[Tensor], worst: Sequence[Tensor]) -> None:
            along = sum((g * w).sum() for g, w in zip(first, worst, strict=True))
            length = sum(w.square().sum() for w in worst)
            for g, w in zip(first, worst, strict=True):
                w.mul_(1 + self.share * along / (length + TINY**2)).sub_(g, alpha=self.share)

        return turned


@dataclass(frozen=True, kw_only=True)
class ASAM(SharpnessAware):
    """e = ρ T²g/‖Tg‖ with T = |w| + η for weights, T = 1 for vectors, so that scale does not count.

    Args:
        least: η, so that small weights move too.

    Source: Kwon et al. (2021), "ASAM", algorithm 1, p = 2, element by element. Differs: T is 1 for
    norms too, where the authors' code leaves out biases alone.
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
    """The optimiser of all; the weights are put back whatever happens on the way.

    Args:
        base: What takes the step.
        ascent: (parameters with gradients) → e.
        turn: Turns the gradients at w + e by those at w; None leaves them.
    """

    def __init__(self, base: Optimizer, ascent: Ascent, turn: Turn | None = None):
        super().__init__(base)
        self.ascent, self.turn = ascent, turn

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
        first = [] if self.turn is None else [p.grad.clone() for p in climbed if p.grad is not None]
        try:
            for parameter, way in zip(climbed, self.ascent(climbed), strict=True):
                parameter.add_(way)
            asked(closure)
        finally:
            for parameter, kept in zip(climbed, before, strict=True):
                parameter.copy_(kept)
        if self.turn is not None:
            self.turn(first, [p.grad for p in climbed if p.grad is not None])
        self.base.step()
        return loss
