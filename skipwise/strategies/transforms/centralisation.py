"""Gradient centralisation: every unit's gradient loses its mean over what the unit reads."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from skipwise.strategies.transforms.transform import (
    Applied,
    GradientTransform,
    Learning,
    State,
    total_norm,
)

MATRICES = ("stem", "branch", "head")


@dataclass(frozen=True, kw_only=True)
class Centralisation(GradientTransform):
    """G_i ← G_i − mean(G_i) for every row or filter i of a matrix or convolution.

    A unit that reads one number has nothing to centralise, and biases, norms and the mixing of a
    connection are no units; they stay as they are.

    Source: Yong et al. (2020), "Gradient centralization", eq. 1.
    """

    place = 0

    def apply(self, learning: Sequence[Learning], norm: Tensor, state: State, step: int) -> Applied:
        """Take the means off."""
        for entry in learning:
            gradient = entry.parameter.grad
            if gradient is not None and entry.role in MATRICES and gradient[0].numel() > 1:
                axes = tuple(range(1, gradient.dim()))
                gradient.sub_(gradient.mean(dim=axes, keepdim=True))
        return Applied(norm=total_norm(learning))
