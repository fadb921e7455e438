"""The path of training in the plane that holds most of it: principal components of checkpoints.

A random walk in many dimensions looks just as planar: its first component takes 6/π² = 61 % of the
variance, its second a quarter of that. So the shares of the walk stand beside those measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from skipwise.analysis.curvature import objective
from skipwise.analysis.landscape.directions import Direction
from skipwise.analysis.landscape.statistics import Statistics, checked, loss_here, words
from skipwise.analysis.measurement import Measurement, Theory
from skipwise.analysis.problem import Loss
from skipwise.analysis.weights import Weights, pairs, place

WALK = "Antognini and Sohl-Dickstein (2018), PCA of high dimensional random walks"


@dataclass(frozen=True, kw_only=True)
class Path:
    """Checkpoints in the plane of their first two principal components.

    Args:
        directions: The components, of length 1 over all parameters.
        coordinates: Of each checkpoint, measured from the last, shape ``(checkpoints, 2)``.
        shares: Part of the variance that each component takes, all of them, the largest first.
    """

    directions: tuple[Direction, Direction]
    coordinates: Float[Tensor, "checkpoints 2"]
    shares: tuple[float, ...]


def principal_path(model: nn.Module, checkpoints: Sequence[Weights]) -> Path:
    """Find the plane by the eigenvectors of the products between centred checkpoints, in float64.

    Args:
        model: Names the parameters.
        checkpoints: In their order, three at least; only their parameters count.

    Raises:
        ValueError: If there are fewer than three, or they do not span a plane.

    Source: Li et al. (2018), section 7. Differs: centred at the mean, as principal components are.
    """
    if len(checkpoints) < 3:
        raise ValueError(f"a plane needs three checkpoints or more, got {len(checkpoints)}")
    names = list(pairs(checkpoints[0], checkpoints[-1], model))
    shapes = {name: checkpoints[0][name].shape for name in names}
    rows = [
        torch.cat([pair[1].double().flatten() for pair in pairs(checkpoints[0], c, model).values()])
        for c in checkpoints
    ]
    points = torch.stack(rows)
    centred = points - points.mean(0)
    variances, vectors = torch.linalg.eigh(centred @ centred.mT)
    variances = variances.flip(0).clamp(min=0)
    if variances[1] <= 1e-14 * variances[0] or variances[0] == 0:
        raise ValueError("the checkpoints lie on one line or are equal, so they span no plane")
    axes = vectors.flip(1)[:, :2].mT @ centred / variances[:2].sqrt()[:, None]
    return Path(
        directions=(_cut(axes[0], shapes), _cut(axes[1], shapes)),
        coordinates=((points - points[-1]) @ axes.mT).cpu(),
        shares=tuple((variances / variances.sum()).tolist()[:-1]),
    )


def _cut(vector: Tensor, shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    pieces = vector.split([shape.numel() for shape in shapes.values()])
    return {n: p.view(s) for p, (n, s) in zip(pieces, shapes.items(), strict=True)}


def walk_shares(checkpoints: int) -> tuple[float, ...]:
    """Give the shares of a random walk's components in infinitely many dimensions.

    The products of a centred walk of T points are the inverse of a path's Laplacian, so component k
    takes ``1/(1 − cos(πk/T))`` over the sum of these; for large T that is ``6/(π²k²)``.

    >>> [round(share, 3) for share in walk_shares(1000)[:2]]
    [0.608, 0.152]
    """
    weights = [1 / (1 - math.cos(math.pi * k / checkpoints)) for k in range(1, checkpoints)]
    return tuple(weight / math.fsum(weights) for weight in weights)


def trajectory(
    model: nn.Module,
    batches: Any,
    loss: Loss | None = None,
    *,
    checkpoints: Sequence[Weights],
    statistics: Statistics = "recomputed",
    seed: int = 0,
) -> Measurement:
    """Measure where training went: each checkpoint's place in the principal plane, and its loss.

    The loss *over* that plane is :func:`plane` with ``directions=principal_path(…).directions`` and
    the last checkpoint in the model.

    Args:
        model: Any module; what it holds is put back.
        batches: A pair (inputs, targets), or several.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        checkpoints: ``state_dict`` by ``state_dict``, in their order.
        statistics: How BatchNorm normalises.
        seed: Of random layers.

    Returns:
        A row for each checkpoint: coordinates from the last one, loss, and the share of the
        variance of the component of this number (the last has none) with that of a random walk.

    Raises:
        ValueError: If there are fewer than three checkpoints or they are of another model, or see
            :func:`objective`.
    """
    checked(statistics)
    path = principal_path(model, checkpoints)
    training, losses = statistics == "batch", []
    with objective(model, batches, loss, training=training, weights=True, seed=seed) as held:
        for weights in checkpoints:
            place(model, weights)
            losses.append(loss_here(held, statistics))
    return _record(path, losses, statistics)


def _record(path: Path, losses: list[float], statistics: Statistics) -> Measurement:
    first, second = path.coordinates.mT.tolist()
    walk = walk_shares(len(losses))
    return Measurement(
        name="trajectory in its plane",
        formula="coordinates of θₜ − θ_T on the principal components of all checkpoints",
        source="Li et al. (2018), section 7",
        of="checkpoint",
        rows=tuple(map(str, range(len(losses)))),
        columns={
            "x": tuple(first),
            "y": tuple(second),
            "loss": tuple(losses),
            "share": (*path.shares, math.nan),
        },
        figures={"share of the plane": sum(path.shares[:2]), "of a random walk": sum(walk[:2])},
        theories=(
            Theory(
                name="random walk",
                column="share",
                formula="1/(1 − cos(πk/T)), over the sum",
                condition="independent steps in many dimensions",
                values=(*walk, math.nan),
                source=WALK,
            ),
        ),
        notes=(words(statistics),),
        shown="loss",
    )
