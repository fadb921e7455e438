"""Adaptive gradient clipping: no unit's gradient is long beside the unit's own weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from skipwise.strategies.transforms.transform import (
    Applied,
    GradientTransform,
    Learning,
    State,
    total_norm,
)


@dataclass(frozen=True, kw_only=True)
class AdaptiveClipping(GradientTransform):
    """G_i ← λ·w_i/‖G_i‖·G_i where ‖G_i‖ > λ·w_i, with w_i = max(‖W_i‖, ε); not on the head.

    Unit i is a row or filter, what leads to one output; a parameter of one axis or none is a unit
    as a whole.

    Args:
        ratio: λ. The paper has 0.01 for batches of 1,024 to 4,096, larger for smaller ones.
        least: ε, so that what begins at zero can learn.

    Source: Brock et al. (2021), "High-performance large-scale image recognition without
    normalization", eq. 3.
    """

    place = 1
    clips_units = True

    ratio: float = 0.01
    least: float = 1e-3

    def __post_init__(self):
        super().__post_init__()
        for name, value in (("ratio", self.ratio), ("least", self.least)):
            if not 0 < value < inf:
                raise ValueError(
                    f"{name} of AdaptiveClipping must be positive and finite, got {value}"
                )

    def apply(self, learning: Sequence[Learning], norm: Tensor, state: State, step: int) -> Applied:
        """Shorten the units that are too long."""
        acted = torch.zeros((), dtype=torch.bool, device=norm.device)
        for entry in learning:
            gradient = entry.parameter.grad
            if gradient is None or entry.of_head:
                continue
            limit = unit_norms(entry.parameter.detach()).clamp(min=self.least) * self.ratio
            length = unit_norms(gradient)
            is_long = length > limit
            # A product with one leaves the others bit for bit, and no unit is divided by zero.
            gradient.mul_(torch.where(is_long, limit / length.clamp(min=1e-30), 1.0))
            acted |= is_long.any()
        return Applied(norm=total_norm(learning), clipped=acted)


def unit_norms(tensor: Tensor) -> Tensor:
    """Give the Euclidean norm of every unit, in a shape that multiplies the tensor."""
    if tensor.dim() <= 1:
        return torch.linalg.vector_norm(tensor)
    return torch.linalg.vector_norm(tensor, dim=tuple(range(1, tensor.dim())), keepdim=True)
