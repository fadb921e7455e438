"""Curvature of the loss: the eigenvalues at both ends, the trace, the density, and the limit."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from skipwise.analysis.curvature.gradient import Objective, objective
from skipwise.analysis.curvature.hessian import hessian_of
from skipwise.analysis.curvature.optimiser import in_use
from skipwise.analysis.curvature.stability import Rule
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.problem import Loss
from skipwise.analysis.spectra import (
    Density,
    Extremes,
    Operator,
    extreme_eigenvalues,
    spectral_density,
    trace,
)

SOURCE = "Pearlmutter (1994); Lanczos (1950); Hutchinson (1989)"


def hessian_spectrum(
    model: nn.Module,
    batches: Any,
    loss: Loss | None = None,
    *,
    count: int = 1,
    probes: int = 10,
    optimiser: Optimizer | Rule | None = None,
    of: str = "*",
    training: bool = True,
    seed: int = 0,
) -> Measurement:
    """Measure the largest eigenvalues of the Hessian, the lowest one, and the trace.

    With an optimiser also the largest eigenvalue of what it sees, ``P⁻¹(H + decay)``, against its
    limit of stability. At the limit (a ratio of about 1) is where full batches usually train; above
    it the loss can go up along that direction. One batch is usually sharper than the whole.

    Args:
        model: Any module.
        batches: A pair (inputs, targets), or several; each counts by its examples.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        count: How many of the largest; an eigenvalue of several vectors may be counted once.
        probes: Random vectors for the trace; 0 leaves it out.
        optimiser: The one in use, or its rule in plain numbers.
        of: A pattern of names of parameters; the Hessian is the block of these.
        training: In training mode, where BatchNorm uses the batch; else in evaluation mode.
        seed: Of starts, probes and random layers.

    Returns:
        A row for each eigenvalue with the bound within which it is certain; the rest as figures.

    Raises:
        ValueError: If the loss is not one number, or see :func:`objective`.
    """
    with objective(model, batches, loss, of=of, training=training, seed=seed) as held:
        matrix = hessian_of(held)
        found = extreme_eigenvalues(matrix, count=count, seed=seed)
        figures = {"lowest": found.lowest, "lowest / largest": found.negativity}
        if probes:
            total = trace(matrix, probes=probes, seed=seed)
            figures |= {"trace": total.value, "standard error of the trace": total.error}
        if optimiser is not None:
            figures |= _stability(held, matrix, optimiser, seed)
        figures |= {"loss": held.loss(), "products": float(found.products)}
        notes = [_mode(held, training)]
    return _spectrum(found, figures, notes)


def _stability(
    held: Objective, matrix: Operator, optimiser: Optimizer | Rule, seed: int
) -> dict[str, float]:
    used = in_use(optimiser, held.parameters)
    seen, limit = extreme_eigenvalues(used.seen(matrix), seed=seed).values[0], used.rule.limit
    return {
        "seen by the optimiser": seen,
        "limit of stability": limit,
        "seen / limit": seen / limit,
    }


def _spectrum(found: Extremes, figures: dict[str, float], notes: list[str]) -> Measurement:
    if not found.converged:
        notes.append(f"not converged after {found.products} products: see the bounds")
    return Measurement(
        name="curvature of the loss",
        formula="H = ∂²L/∂θ², eigenvalues in descending order",
        source=SOURCE,
        of="eigenvalue",
        rows=tuple(str(number + 1) for number in range(len(found.values))),
        columns={"value": found.values, "bound": found.bounds},
        figures=figures,
        notes=tuple(notes),
    )


def hessian_density(
    model: nn.Module,
    batches: Any,
    loss: Loss | None = None,
    *,
    steps: int = 40,
    probes: int = 4,
    points: int = 101,
    of: str = "*",
    training: bool = True,
    seed: int = 0,
) -> Measurement:
    """Measure the density of the Hessian's eigenvalues by stochastic Lanczos quadrature.

    Args:
        model: Any module.
        batches: A pair (inputs, targets), or several.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        steps: Of Lanczos for each probe.
        probes: Random starts; the products are ``steps × probes``.
        points: At how many curvatures the density is given.
        of: A pattern of names of parameters.
        training: In training mode, or in evaluation mode.
        seed: Of the starts and of random layers.

    Returns:
        A row for each point with its density, the nodes widened to 1 % of the range.

    Raises:
        ValueError: If the loss is not one number, or see :func:`objective`.
    """
    with objective(model, batches, loss, of=of, training=training, seed=seed) as held:
        found = spectral_density(hessian_of(held), steps=steps, probes=probes, seed=seed)
        note = _mode(held, training)
    return _density(found, points, note)


def _density(found: Density, points: int, note: str) -> Measurement:
    # A node without weight stands where a closed space ended early, and is no eigenvalue.
    nodes = found.nodes[found.weights > 0]
    low, high = nodes.min().item(), nodes.max().item()
    width = 0.01 * ((high - low) or abs(high) or 1.0)
    values = torch.linspace(low - 4 * width, high + 4 * width, points, dtype=torch.float64)
    mean, square, positive = found.moment(1), found.moment(2), found.share_above(0.0)
    return Measurement(
        name="density of the curvature",
        formula="1/n Σ δ(λ − λᵢ), each node widened to a normal of 1 % of the range",
        source="Golub and Welsch (1969); Ghorbani, Krishnan, Xiao (2019)",
        of="curvature",
        rows=tuple(f"{value:.4g}" for value in values.tolist()),
        columns={"density": tuple(found.curve(values, width).tolist())},
        figures={
            "mean": mean.value,
            "standard error of the mean": mean.error,
            "trace": mean.value * found.size,
            "root mean square": math.sqrt(square.value),
            "share above zero": positive.value,
            "resolution": width,
        },
        notes=(note,),
        positions=tuple(values.tolist()),
    )


def _mode(held: Objective, training: bool) -> str:
    mode = "training mode, BatchNorm by the batch" if training else "evaluation mode"
    count = len(held.problems)
    return f"in {mode}, over {count} batch{'es' if count > 1 else ''}"
