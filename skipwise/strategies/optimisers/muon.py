"""Muon: momentum whose matrices are made orthogonal; filters are matrices of outputs × the rest."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from skipwise.strategies.optimisers.adam import AdamW
from skipwise.strategies.optimisers.borrowed.tuning_free import Prodigy
from skipwise.strategies.optimisers.optimiser import (
    Groups,
    Optimiser,
    check_memories,
    check_nesterov,
    check_positive,
)
from skipwise.strategies.optimisers.wrapping import Beside, asked

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
BRANCH = "branch"


@dataclass(frozen=True, kw_only=True)
class Muon(Optimiser):
    """m ← μm + (1 − μ)g, w ← w − ηλw − η √max(1, a/b) · orthogonal(m); Nesterov: of μm + (1 − μ)g.

    The weights of the branches are updated so, as matrices of a rows and b columns: a filter has
    its outputs for rows and inputs × height × width for columns. Stem, head, norms, biases and what
    a connection holds are updated by ``others``, at a share of the rate. The part that a parameter
    plays is its group's ``role``, which :func:`skipwise.strategies.parameter_groups` gives.

    Args:
        momentum: μ, in [0, 1).
        nesterov: Look ahead along the momentum.
        others: The rule for the rest.
        share: The rest learns at so much of the rate; 1 for Prodigy, which finds its own.

    Source: Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks", and
    their code; with μ as torch.optim.Muon has it. Differs: the iteration runs in the parameter's
    type, not in bfloat16; filters of grouped convolutions are one matrix all together; a and b are
    those of the matrix, while their code takes height and width of a filter for the factor, which
    is 1 if it is square.
    """

    momentum: float = 0.95
    nesterov: bool = True
    others: Optimiser = field(default_factory=AdamW)
    share: float = 0.05

    def __post_init__(self):
        super().__post_init__()
        check_memories(momentum=self.momentum)
        check_nesterov(self.momentum, nesterov=self.nesterov)
        check_positive(share=self.share)
        if self.others.asks_again or self.others.evaluates_others or isinstance(self.others, Muon):
            raise ValueError(
                f"others must be a plain rule, AdamW for example; {type(self.others).__name__} is"
                " none"
            )
        if isinstance(self.others, Prodigy) and self.share != 1:
            raise ValueError(
                f"Prodigy finds its own rate and takes no share of one, got share {self.share};"
                " set share to 1, or take AdamW as others"
            )

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make the two optimisers, side by side.

        Raises:
            ValueError: If the groups do not say their roles, or no matrix is left for Muon.
        """
        if any("role" not in group for group in groups):
            raise ValueError(
                "Muon must know which parameters belong to branches; make the groups with"
                " skipwise.strategies.parameter_groups"
            )
        hidden = [group for group in groups if group["role"] == BRANCH]
        rest = [
            {**group, "factor": group.get("factor", 1.0) * self.share}
            for group in groups
            if group["role"] != BRANCH
        ]
        if not hidden:
            raise ValueError(
                "Muon updates the weights between stem and head, and here are none; take AdamW"
            )
        options = {"lr": rate, "momentum": self.momentum, "nesterov": self.nesterov}
        muon = Orthogonalising(hidden, {**options, "weight_decay": 0.0})
        return Beside([muon, *([self.others.build(rest, rate=rate)] if rest else [])])


@final
class Orthogonalising(Optimizer):
    """The optimiser of :class:`Muon` over matrices and filters; those of one shape go together."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step."""
        loss = asked(closure)
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(parameter)
            for parameters in shapes.values():
                self._update(parameters, group)
        return loss

    def _update(self, parameters: Sequence[nn.Parameter], group: dict[str, Any]) -> None:
        # A stack of its own, so that sums run in one order whatever layout the filters have.
        wanted = torch.stack([self._direction(p, group).flatten(1) for p in parameters])
        rows, columns = wanted.shape[1:]
        made = orthogonal(wanted).mul_(math.sqrt(max(1.0, rows / columns)))
        for parameter, update in zip(parameters, made, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update.view(parameter.shape), alpha=-group["lr"])

    def _direction(self, parameter: nn.Parameter, group: dict[str, Any]) -> Tensor:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        memory = group["momentum"]
        momentum = state["momentum"].lerp_(gradient, 1 - memory)
        return gradient.lerp(momentum, memory) if group["nesterov"] else momentum


def orthogonal(matrices: Float[Tensor, "many rows columns"]) -> Float[Tensor, "many rows columns"]:
    """Bring the singular values of matrices near one, and leave their singular vectors.

    X ← M/‖M‖, then five times X ← aX + (bA + cA²)X with A = XXᵀ; a, b and c are pinned such that
    singular values from about 0.01 of the norm on end within [0.7, 1.2], smaller ones below.

    Source: Jordan et al. (2024), the quintic Newton-Schulz iteration.
    """
    a, b, c = COEFFICIENTS
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if is_tall else matrices
    x = x / x.flatten(1).norm(dim=1)[:, None, None].clamp_min(1e-7)
    for _ in range(ROUNDS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
