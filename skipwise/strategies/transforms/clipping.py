"""Clipping of the whole gradient: at a fixed norm, at a percentile of the norms, at an outlier."""

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
    bound,
)


@dataclass(frozen=True, kw_only=True)
class ClipNorm(GradientTransform):
    """g ← g·min(1, c/(‖g‖ + 1e-6)); ``strategy.clip_norm`` is short for it.

    Args:
        limit: c.

    Source: Pascanu et al. (2013), "On the difficulty of training recurrent neural networks",
    algorithm 1.
    """

    place = 3

    limit: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.limit < inf:
            raise ValueError(f"limit of ClipNorm must be positive, got {self.limit}")

    def apply(self, learning: Sequence[Learning], norm: Tensor, state: State, step: int) -> Applied:
        """Scale the gradient down if it is longer than the limit."""
        return Applied(norm=bound(learning, norm, self.limit), clipped=norm > self.limit)


@dataclass(frozen=True, kw_only=True)
class AutoClip(GradientTransform):
    """Clip at the p-th percentile of the norms so far, this one among them.

    With the paper's p = 10 nine steps of ten are shortened: it is normalisation more than a
    safeguard.

    Args:
        percentile: p, in (0, 100].
        remembered: The percentile is that of the last so many norms.

    Source: Seetharaman et al. (2020), "AutoClip", algorithm 1. Differs: the last ``remembered``
    norms count, where the paper keeps all.
    """

    place = 2

    percentile: float = 10.0
    remembered: int = 1000

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.percentile <= 100:
            raise ValueError(f"percentile must lie in (0, 100], got {self.percentile}")
        if self.remembered < 1:
            raise ValueError(f"remembered must be positive, got {self.remembered}")

    def begin(self) -> State:
        """Give an empty history; NaN stands where there is no norm yet."""
        history = torch.full((self.remembered,), torch.nan, dtype=torch.float64)
        return {"history": history, "count": torch.zeros((), dtype=torch.int64)}

    def apply(self, learning: Sequence[Learning], norm: Tensor, state: State, step: int) -> Applied:
        """Clip at the percentile."""
        history, count = state["history"], state["count"]
        here = torch.arange(self.remembered, device=history.device) == count % self.remembered
        history = torch.where(here, norm.double(), history)
        limit = torch.nanquantile(history, self.percentile / 100)
        after = {"history": history, "count": count + 1}
        return Applied(norm=bound(learning, norm, limit), state=after, clipped=norm > limit)


@dataclass(frozen=True, kw_only=True)
class ZClip(GradientTransform):
    """Clip norms that are outliers of their own running mean μ and deviation σ.

    z = (n − μ)/(σ + 1e-6) for the norm n; where z > ζ the gradient is scaled to the norm
    μ + ζσ/(z/ζ): the further out, the shorter. Then μ ← αμ + (1 − α)n and, with the new μ,
    σ² ← ασ² + (1 − α)(n − μ)², n being what the norm is now. In the first ``settling`` steps
    nothing is clipped; μ and σ² then are mean and variance of their norms.

    Args:
        memory: α, in (0, 1).
        threshold: ζ.
        settling: Steps before the first that may be clipped.

    Source: Kumar et al. (2025), "ZClip", algorithm 1, with their values. Differs: a fixed limit
    beside it is ``strategy.clip_norm``, which comes after.
    """

    place = 2

    memory: float = 0.97
    threshold: float = 2.5
    settling: int = 25

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.memory < 1:
            raise ValueError(f"memory of ZClip must lie in (0, 1), got {self.memory}")
        if not 0 < self.threshold < inf:
            raise ValueError(
                f"threshold of ZClip must be positive and finite, got {self.threshold}"
            )
        if self.settling < 1:
            raise ValueError(f"settling of ZClip must be positive, got {self.settling}")

    def remarks(self, steps: int) -> tuple[str, ...]:
        """Say so where it never clips."""
        if steps > self.settling:
            return ()
        return (
            f"ZClip clips nothing in its first {self.settling} steps, and the run has {steps};"
            " lower its settling, or train longer",
        )

    def begin(self) -> State:
        """Give mean and variance of nothing."""
        zero = torch.zeros((), dtype=torch.float64)
        return {"mean": zero, "variance": zero.clone(), "count": zero.clone()}

    def apply(self, learning: Sequence[Learning], norm: Tensor, state: State, step: int) -> Applied:
        """Clip the norm if it is an outlier, and take it into mean and variance."""
        mean, variance, count = state["mean"], state["variance"], state["count"]
        n, settles = norm.double(), count < self.settling
        deviation = variance.sqrt()
        z = (n - mean) / (deviation + 1e-6)
        clipped = ~settles & (z > self.threshold)
        limit = torch.where(clipped, mean + self.threshold**2 * deviation / z, n)
        after = bound(learning, norm, torch.where(clipped, limit, torch.inf))
        share = torch.where(settles, 1 / (count + 1), 1 - self.memory)
        new = mean + share * (limit - mean)
        # While settling (Welford) one factor is the distance to the old mean.
        square = (limit - torch.where(settles, mean, new)) * (limit - new)
        following = {
            "mean": new,
            "variance": variance + share * (square - variance),
            "count": count + 1,
        }
        return Applied(norm=after, state=following, clipped=clipped)
