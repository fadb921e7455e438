"""The loss along a line and over a plane through the weights.

Two random directions of a space of so many dimensions miss the sharpest one almost surely, so a
plane looks smoother than the loss is; the extreme eigenvalues of the Hessian, and the curvature
along the drawn directions, therefore stand beside it.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import nn

from skipwise.analysis.curvature import Objective, hessian_of, objective
from skipwise.analysis.landscape.directions import (
    Direction,
    filter_normalised,
    moved,
    random_direction,
)
from skipwise.analysis.landscape.statistics import Statistics, checked, loss_here, words
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.problem import Loss
from skipwise.analysis.spectra import extreme_eigenvalues
from skipwise.analysis.weights import place, weights_of

FORMULA = "L(θ + Σ aᵢ·dᵢ), directions by filter"
SOURCE = "Li et al. (2018), Visualizing the loss landscape of neural nets"


def line(
    model: nn.Module,
    batches: Any,
    loss: Loss | None = None,
    *,
    direction: Direction | None = None,
    reach: float = 1.0,
    points: int = 21,
    statistics: Statistics = "recomputed",
    eigenvalues: bool = True,
    seed: int = 0,
) -> Measurement:
    """Measure the loss at ``θ + a·d`` for a from −reach to reach.

    Args:
        model: Any module; its weights are put back.
        batches: A pair (inputs, targets), or several.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        direction: d, used as it is; if None a random one, filter-normalised.
        reach: The largest a; at 1 a random d is as long as the weights.
        points: How many, an odd number so that θ itself is one.
        statistics: How BatchNorm normalises.
        eigenvalues: Whether the extremes of the Hessian are measured beside it.
        seed: Of the direction and of random layers.

    Returns:
        A row for each a.

    Raises:
        ValueError: If ``points`` is even or ``reach`` not positive, or see :func:`objective`.
    """
    _check(points, reach, statistics)
    chosen = [direction] if direction is not None else _random(model, 1, seed)
    amounts = _amounts(points, reach)
    losses = _losses(model, batches, loss, chosen, [(a,) for a in amounts], statistics, seed)
    beside = _beside(model, batches, loss, chosen, statistics, seed) if eigenvalues else {}
    return Measurement(
        name="loss along a line",
        formula=FORMULA,
        source=SOURCE,
        of="a",
        rows=tuple(f"{a:.3g}" for a in amounts),
        columns={"loss": tuple(losses)},
        figures={"lowest loss": min(losses), "at": amounts[losses.index(min(losses))]} | beside,
        notes=(words(statistics),),
        positions=tuple(amounts),
    )


def plane(
    model: nn.Module,
    batches: Any,
    loss: Loss | None = None,
    *,
    directions: Sequence[Direction] | None = None,
    reach: float = 1.0,
    points: int = 11,
    statistics: Statistics = "recomputed",
    eigenvalues: bool = True,
    seed: int = 0,
) -> Measurement:
    """Measure the loss at ``θ + a·d₁ + b·d₂``; the arguments are those of :func:`line`.

    Args:
        model: Any module; its weights are put back.
        batches: A pair (inputs, targets), or several.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        directions: d₁ and d₂, used as they are; if None random ones, filter-normalised.
        reach: The largest a and b.
        points: Along each direction, an odd number; the loss is computed ``points²`` times.
        statistics: How BatchNorm normalises.
        eigenvalues: Whether the extremes of the Hessian are measured beside it.
        seed: Of the directions and of random layers.

    Returns:
        A row for each a and a column for each b.

    Raises:
        ValueError: If there are not two directions, ``points`` is even or ``reach`` not positive,
            or see :func:`objective`.
    """
    _check(points, reach, statistics)
    chosen = list(directions) if directions is not None else _random(model, 2, seed)
    if len(chosen) != 2:
        raise ValueError(f"a plane needs two directions, got {len(chosen)}")
    amounts = _amounts(points, reach)
    grid = list(product(amounts, amounts))
    losses = _losses(model, batches, loss, chosen, grid, statistics, seed)
    beside = _beside(model, batches, loss, chosen, statistics, seed) if eigenvalues else {}
    return _plane(amounts, losses, beside, statistics)


def _plane(
    amounts: list[float], losses: list[float], beside: dict[str, float], statistics: Statistics
) -> Measurement:
    points, lowest = len(amounts), losses.index(min(losses))
    names = [f"b = {b:.3g}" for b in amounts]
    return Measurement(
        name="loss over a plane",
        formula=FORMULA,
        source=SOURCE,
        of="a",
        rows=tuple(f"{a:.3g}" for a in amounts),
        columns={name: tuple(losses[index::points]) for index, name in enumerate(names)},
        figures={
            "lowest loss": losses[lowest],
            "at a": amounts[lowest // points],
            "at b": amounts[lowest % points],
        }
        | beside,
        notes=(words(statistics),),
        shown=names[points // 2],
        positions=tuple(amounts),
    )


def _check(points: int, reach: float, statistics: Statistics) -> None:
    checked(statistics)
    if points < 3 or points % 2 == 0:
        raise ValueError(
            f"points must be odd and at least 3, so that one is θ itself; got {points}"
        )
    if reach <= 0:
        raise ValueError(f"reach must be positive, got {reach}")


def _amounts(points: int, reach: float) -> list[float]:
    half = points // 2
    return [reach * (index - half) / half for index in range(points)]


def _random(model: nn.Module, count: int, seed: int) -> list[Direction]:
    weights = weights_of(model)
    drawn = (random_direction(model, seed, "direction", number) for number in range(count))
    return [filter_normalised(direction, weights) for direction in drawn]


def _losses(
    model: nn.Module,
    batches: Any,
    loss: Loss | None,
    directions: Sequence[Direction],
    grid: Sequence[tuple[float, ...]],
    statistics: Statistics,
    seed: int,
) -> list[float]:
    weights, training = weights_of(model), statistics == "batch"
    with objective(model, batches, loss, training=training, weights=True, seed=seed) as held:
        found = []
        for amounts in grid:
            place(model, moved(weights, directions, amounts))
            found.append(loss_here(held, statistics))
    return found


def _beside(
    model: nn.Module,
    batches: Any,
    loss: Loss | None,
    directions: Sequence[Direction],
    statistics: Statistics,
    seed: int,
) -> dict[str, float]:
    """Measure the Hessian's extremes and its curvature along the directions.

    Recomputed statistics follow the weights as those of a batch do, so the Hessian is that of
    training mode then.
    """
    with objective(model, batches, loss, training=statistics != "stored", seed=seed) as held:
        matrix = hessian_of(held)
        ends = extreme_eigenvalues(matrix, seed=seed)
        figures = {
            "largest eigenvalue": ends.values[0],
            "lowest eigenvalue": ends.lowest,
            "lowest / largest": ends.negativity,
        }
        for number, direction in enumerate(directions, 1):
            flat = _flat(held, direction)
            if bool(flat.any()):
                figures[f"curvature along direction {number}"] = matrix.rayleigh(flat)
    return figures


def _flat(held: Objective, direction: Direction) -> torch.Tensor:
    parts = [direction.get(name, torch.zeros_like(p)) for name, p in held.parameters.items()]
    return held.flat(parts)
