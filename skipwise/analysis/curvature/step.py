"""One step that was taken, against the parabola it was taken on."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from skipwise.analysis.curvature.gradient import Objective, objective
from skipwise.analysis.curvature.hessian import hessian_of
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.problem import Loss
from skipwise.analysis.spectra import Flat
from skipwise.analysis.weights import Weights, place, weights_of


@dataclass(frozen=True, kw_only=True)
class Along:
    """The loss along a step, the step counted from 0 to 1.

    Args:
        before: The loss before.
        after: The loss after.
        slope_before: Its derivative along the whole step, before.
        slope_after: After.
    """

    before: float
    after: float
    slope_before: float
    slope_after: float


def step_position(along: Along) -> float:
    """Give α, where the step landed on a parabola through both losses and both slopes.

    −1 is the start, 0 the bottom of the valley, 1 the opposite wall at the same height; below −1
    the step went uphill. With the least-squares fit ``w₀ + w₁t + w₂t²`` of the four numbers,
    ``α = −2w₂/w₁ − 1``; −1 where the fit is not convex, for then no valley is in sight. On a
    quadratic with a gradient step ``α = η·gᵀHg/gᵀg − 1``.

    Args:
        along: Losses and slopes.

    Source: Schneider, Dangel, Hennig (2021), "Cockpit", section 2.1. Differs: losses and slopes
    count alike, where Cockpit weighs them by their variances over examples.
    """
    seen = torch.tensor(
        [along.before, along.after, along.slope_before, along.slope_after], dtype=torch.float64
    )
    rows = [[1, 0, 0], [1, 1, 1], [0, 1, 0], [0, 1, 2]]
    design = torch.tensor(rows, dtype=torch.float64)
    _, slope, bend = torch.linalg.lstsq(design, seen[:, None]).solution.flatten().tolist()
    if bend <= 0:
        return -1.0
    return -2 * bend / slope - 1 if slope else math.inf


def step_quality(
    model: nn.Module,
    batches: Any,
    loss: Loss | None = None,
    *,
    before: Weights,
    after: Weights | None = None,
    training: bool = True,
    seed: int = 0,
) -> Measurement:
    """Measure what a step promised and what it gave, on the batch it was taken with.

    With the gradient g and the Hessian H before the step u: promised ``−(gᵀu + ½uᵀHu)``, given
    ``L(θ) − L(θ + u)``. A ratio near 1 says that the step stays where the parabola holds.

    Args:
        model: Any module; its weights are put back.
        batches: A pair (inputs, targets), or several.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        before: A ``state_dict`` from before the step.
        after: From after it; what the model holds now if None.
        training: In training mode, or in evaluation mode.
        seed: Of random layers.

    Raises:
        ValueError: If both sets are equal or of another model, or see :func:`objective`.
    """
    held_now = weights_of(model)
    with objective(model, batches, loss, training=training, weights=True, seed=seed) as held:
        place(model, held_now if after is None else after)
        end, loss_after, gradient_after = _at(held)
        place(model, before)
        start, loss_before, gradient = _at(held)
        step = end - start
        length = torch.linalg.vector_norm(step, dtype=torch.float64).item()
        if length == 0:
            raise ValueError("the weights before and after the step are equal; give two sets")
        curvature = hessian_of(held).rayleigh(step)
    along = Along(
        before=loss_before,
        after=loss_after,
        slope_before=torch.dot(gradient.double(), step.double()).item(),
        slope_after=torch.dot(gradient_after.double(), step.double()).item(),
    )
    return _record(along, curvature, length)


def _record(along: Along, curvature: float, length: float) -> Measurement:
    promised = -(along.slope_before + 0.5 * curvature * length**2)
    given = along.before - along.after
    return Measurement(
        name="a step against its parabola",
        formula="promised −(gᵀu + ½uᵀHu), given L(θ) − L(θ + u); α = t/t* − 1 with t* the valley",
        source="Schneider, Dangel, Hennig (2021), Cockpit; Nocedal and Wright (2006), chapter 4",
        of="step",
        rows=("u",),
        columns={
            "promised": (promised,),
            "given": (given,),
            "given / promised": (given / promised if promised else math.nan,),
            "alpha": (step_position(along),),
            "curvature along it": (curvature,),
            "length": (length,),
        },
        figures={"loss before": along.before, "loss after": along.after},
    )


def _at(held: Objective) -> tuple[Flat, float, Flat]:
    """Give the flat weights, the loss and the gradient where the model stands."""
    return held.flat(held.tensors), held.loss(), held.mean_gradient()
