"""Batch sharpness: the curvature that a step on one batch meets along its own gradient."""

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from skipwise.analysis.curvature.gradient import objective
from skipwise.analysis.curvature.hessian import gradient_and_hessian
from skipwise.analysis.curvature.optimiser import InUse, in_use
from skipwise.analysis.curvature.stability import Rule
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.problem import Loss
from skipwise.analysis.spectra import Flat, Operator, mean_of


def batch_sharpness(
    model: nn.Module,
    batches: Any,
    loss: Loss | None = None,
    *,
    rate: float | None = None,
    optimiser: Optimizer | Rule | None = None,
    training: bool = True,
    seed: int = 0,
) -> Measurement:
    """Measure ``E_B [g_Bᵀ H_B g_B / ‖g_B‖²]``, gradient and Hessian of the same batch.

    Stochastic gradient descent settles where this is 2/η, while the curvature of the whole loss
    stays below. One product a batch.

    Args:
        model: Any module.
        batches: A pair (inputs, targets), or several of the size that is trained with.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        rate: η; with it the ratio to 2/η is given.
        optimiser: The one in use, or its rule in plain numbers: with it the curvature is given that
            it sees, of ``P^-½(H + decay)P^-½`` along ``P^-½·g_B``, against its limit of stability.
        training: In training mode, or in evaluation mode.
        seed: Of random layers.

    Returns:
        A row for each batch: sharpness, gradient norm, and ``α = η·sharpness − 1``, where a plain
        gradient step lands on its parabola: −1 start, 0 valley, 1 as high as before.

    Raises:
        ValueError: If the rate is not positive or a gradient is zero, or see :func:`objective`.

    Source: Andreyev and Beneventano (2024), "Edge of stochastic stability", definition 1. Differs:
    the preconditioner is ours, in the coordinates in which the rule is plain descent.
    """
    if rate is not None and rate <= 0:
        raise ValueError(f"rate must be positive, got {rate}")
    rows: list[tuple[float, float]] = []
    seen: list[float] = []
    with objective(model, batches, loss, training=training, seed=seed) as held:
        used = None if optimiser is None else in_use(optimiser, held.parameters)
        for index in range(len(held.problems)):
            gradient, matrix = gradient_and_hessian(held, index)
            norm = _length(gradient, index)
            rows.append((matrix.rayleigh(gradient), norm))
            if used is not None:
                seen.append(_seen(used, matrix, gradient, rows[-1][0]))
    against = {} if used is None else _stability(mean_of(seen).value, used.rule.limit)
    return _record([row[0] for row in rows], [row[1] for row in rows], rate, against)


def _length(gradient: Flat, index: int) -> float:
    """Give the norm of a batch's gradient.

    Raises:
        ValueError: If it is zero.
    """
    norm = torch.linalg.vector_norm(gradient, dtype=torch.float64).item()
    if norm == 0:
        raise ValueError(
            f"the gradient of batch {index} is zero, so it has no direction; the model already"
            " stands at a stationary point of it"
        )
    return norm


def _seen(used: InUse, matrix: Operator, gradient: Flat, plain: float) -> float:
    """Give the curvature along the step as the optimiser sees it; ``plain`` is that of H."""
    if used.preconditioner is None:
        unit = gradient / torch.linalg.vector_norm(gradient)
        return plain + float((used.decay * unit.square()).sum())
    direction = gradient * used.preconditioner.to(gradient).rsqrt()
    return used.seen(matrix).rayleigh(direction)


def _stability(seen: float, limit: float) -> dict[str, float]:
    return {
        "seen by the optimiser": seen,
        "limit of stability": limit,
        "seen / limit": seen / limit,
    }


def _record(
    sharpness: list[float], norms: list[float], rate: float | None, against: dict[str, float]
) -> Measurement:
    mean = mean_of(sharpness)
    figures = {"batch sharpness": mean.value, "standard error": mean.error, **against}
    columns = {"sharpness": tuple(sharpness), "gradient norm": tuple(norms)}
    if rate is not None:
        figures |= {"2 / rate": 2 / rate, "sharpness · rate / 2": mean.value * rate / 2}
        columns["alpha"] = tuple(rate * value - 1 for value in sharpness)
    return Measurement(
        name="batch sharpness",
        formula="gᵀHg / ‖g‖², gradient and Hessian of the same batch",
        source="Andreyev and Beneventano (2024)",
        of="batch",
        rows=tuple(map(str, range(len(sharpness)))),
        columns=columns,
        figures=figures,
    )
