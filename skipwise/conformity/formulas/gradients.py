"""What happens to a gradient before the update, written slowly.

A formula is a function (description, state, gradients, weights, roles) → gradients; ``state``
starts empty. Noise is drawn from torch's generator, as that of the strategy is.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from skipwise.conformity.formulas.formula import Array, Arrays, State, count
from skipwise.strategies import (
    AdaptiveClipping,
    AutoClip,
    Centralisation,
    ClipNorm,
    GradientNoise,
    GradientTransform,
    ZClip,
)

Roles = Mapping[str, str]
Change = Callable[[Any, State, Arrays, Arrays, Roles], Arrays]


def norm_of(gradients: Arrays) -> float:
    """Give the Euclidean norm of the whole gradient."""
    return math.sqrt(sum(float((g**2).sum()) for g in gradients.values()))


def _bound(gradients: Arrays, limit: float) -> Arrays:
    factor = min(1.0, limit / (norm_of(gradients) + 1e-6))
    return {name: factor * g for name, g in gradients.items()}


def clip_norm(part: ClipNorm, state: State, g: Arrays, w: Arrays, roles: Roles) -> Arrays:
    """Scale what is longer than c down to c.

    Source: Pascanu et al. (2013), algorithm 1.
    """
    return _bound(g, part.limit)


def auto_clip(part: AutoClip, state: State, g: Arrays, w: Arrays, roles: Roles) -> Arrays:
    """Clip at a percentile of the norms so far.

    Source: Seetharaman et al. (2020), algorithm 1.
    """
    norms = state.setdefault("norms", [])
    norms.append(norm_of(g))
    return _bound(g, float(np.percentile(norms[-part.remembered :], part.percentile)))


def z_clip(part: ZClip, state: State, g: Arrays, w: Arrays, roles: Roles) -> Arrays:
    """Clip a norm n with z = (n − μ)/σ > ζ at μ + ζσ/(z/ζ).

    Source: Kumar et al. (2025), algorithm 1.
    """
    n, settling, memory = norm_of(g), state.setdefault("settling", []), part.memory
    if len(settling) < part.settling:
        settling.append(n)
        state["mean"], state["variance"] = np.mean(settling), np.var(settling)
        return g
    deviation = math.sqrt(state["variance"])
    z = (n - state["mean"]) / (deviation + 1e-6)
    is_far = z > part.threshold
    n = state["mean"] + part.threshold * deviation / (z / part.threshold) if is_far else n
    state["mean"] = memory * state["mean"] + (1 - memory) * n
    state["variance"] = memory * state["variance"] + (1 - memory) * (n - state["mean"]) ** 2
    return _bound(g, n) if is_far else g


def centralisation(
    part: Centralisation, state: State, g: Arrays, w: Arrays, roles: Roles
) -> Arrays:
    """Take the mean off every row or filter of a matrix.

    Source: Yong et al. (2020), eq. 1.
    """
    return {
        name: _by_unit(_centred, x) if roles[name] in ("stem", "branch", "head") else x
        for name, x in g.items()
    }


def adaptive_clipping(
    part: AdaptiveClipping, state: State, g: Arrays, w: Arrays, roles: Roles
) -> Arrays:
    """Scale a unit's gradient down to λ max(‖W_i‖, ε), but for the head.

    Source: Brock et al. (2021), eq. 3.
    """

    def clipped(x: Array, weights: Array) -> Array:
        longest = part.ratio * max(float(np.linalg.norm(weights)), part.least)
        length = float(np.linalg.norm(x))
        return x * (longest / length) if length > longest else x

    heads = {name.rpartition(".")[0] for name, role in roles.items() if role == "head"}
    spared = {name for name in g if name.rpartition(".")[0] in heads}
    return {n: x if n in spared else _by_unit(clipped, x, w[n]) for n, x in g.items()}


def _by_unit(change: Callable[..., Array], x: Array, *others: Array) -> Array:
    """Change every row or filter alone; what has one axis or none is one unit."""
    if x.ndim <= 1:
        return change(x, *others)
    return np.stack([change(*unit) for unit in zip(x, *others, strict=True)])


def _centred(x: Array) -> Array:
    return x - x.mean() if x.size > 1 else x


def noise(part: GradientNoise, state: State, g: Arrays, w: Arrays, roles: Roles) -> Arrays:
    """Add N(0, η/(1 + t)^γ), t updates before.

    Source: Neelakantan et al. (2015), section 3.
    """
    deviation = math.sqrt(part.variance / count(state) ** part.fading)
    drawn = {name: torch.randn(x.shape, dtype=torch.float64).numpy() for name, x in g.items()}
    return {name: x + deviation * drawn[name] for name, x in g.items()}


CHANGES: Mapping[type[GradientTransform], Change] = {
    ClipNorm: clip_norm,
    AutoClip: auto_clip,
    ZClip: z_clip,
    Centralisation: centralisation,
    AdaptiveClipping: adaptive_clipping,
    GradientNoise: noise,
}
