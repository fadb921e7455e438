"""How far weights move: the update that was really made, and the rotation since the start."""

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skipwise.analysis.curvature import objective
from skipwise.analysis.measurement import Measurement, Theory
from skipwise.analysis.problem import Loss
from skipwise.analysis.weights import Weights, pairs


def equilibrium_rotation(rate: float, decay: float, momentum: float = 0.0) -> float:
    """Give ``√(2ηw/(1 + b))``: the angle per step at which a scale-invariant weight settles.

    Its gradient is at right angles to it and grows as it shrinks, so decay and steps balance at one
    length, and there every update has this size relative to the weight.

    >>> round(equilibrium_rotation(0.1, 5e-4, 0.9), 5)
    0.00725

    Args:
        rate: η, of stochastic gradient descent.
        decay: w, inside the gradient.
        momentum: b.

    Raises:
        ValueError: If rate or decay is negative, or the momentum not in [0, 1).

    Source: Wan et al. (2021), "Spherical motion dynamics"; Kosson, Messmer, Jaggi (2024),
    "Rotational equilibrium".
    """
    if rate < 0 or decay < 0 or not 0 <= momentum < 1:
        raise ValueError(
            "rate and decay must not be negative and the momentum lie in [0, 1), got"
            f" {rate}, {decay} and {momentum}"
        )
    return math.sqrt(2 * rate * decay / (1 + momentum))


def rotation(first: Tensor, second: Tensor) -> float:
    """Give ``1 − cos(w₁, w₀)``: 0 for the same direction, 1 at right angles, 2 for the opposite.

    NaN where one of them is zero.

    Source: Carbonnelle and De Vleeschouwer (2019), "Layer rotation".
    """
    one, two = first.double().flatten(), second.to(first.device).double().flatten()
    lengths = torch.linalg.vector_norm(one) * torch.linalg.vector_norm(two)
    return 1 - (torch.dot(one, two) / lengths).item()


def update_sizes(
    before: Weights,
    after: Weights,
    *,
    expected: float | None = None,
    invariant: Collection[str] = (),
    model: nn.Module | None = None,
) -> Measurement:
    """Measure ``‖θ_{t+1} − θ_t‖/‖θ_t‖`` of each tensor, from the weights on both sides of a step.

    It holds for every rule of optimisation, because it is the update itself. About 1e-3 is usual;
    for a scale-invariant weight compare with :func:`equilibrium_rotation` instead. A tensor that
    starts at zero has no ratio.

    Args:
        before: A ``state_dict`` from before the step.
        after: From after it.
        expected: What the scale-invariant weights should show at equilibrium.
        invariant: Their names, from :func:`scale_invariant_weights`.
        model: Names the parameters; without it running statistics and the like count too.

    Raises:
        ValueError: If the weights are not of one model.

    Source: Karpathy, Johnson, Li (2015), CS231n, "Neural networks 3" (about 1e-3).
    """
    both = pairs(before, after, model)
    ratios = [_ratio(one, two) for one, two in both.values()]
    known = sorted(ratio for ratio in ratios if math.isfinite(ratio))
    theory = None if expected is None else _equilibrium(expected, [n in invariant for n in both])
    return Measurement(
        name="size of the update",
        formula="‖θ' − θ‖/‖θ‖; ‖θ‖; 1 − cos(θ', θ)",
        source="Karpathy, Johnson, Li (2015), CS231n",
        of="parameter",
        rows=tuple(both),
        columns={
            "update / weight": tuple(ratios),
            "weight": tuple(
                torch.linalg.vector_norm(one.double()).item() for one, _ in both.values()
            ),
            "rotation": tuple(rotation(one, two) for one, two in both.values()),
        },
        figures={"median": known[len(known) // 2] if known else math.nan},
        theories=() if theory is None else (theory,),
        logarithmic=True,
    )


def _equilibrium(expected: float, invariant: Sequence[bool]) -> Theory:
    return Theory(
        name="equilibrium",
        column="update / weight",
        formula="√(2ηw/(1 + b))",
        condition="scale-invariant weight, stochastic gradient descent, many steps",
        values=tuple(expected if each else math.nan for each in invariant),
        source="Kosson, Messmer, Jaggi (2024)",
    )


def layer_rotation(start: Weights, now: Weights, model: nn.Module | None = None) -> Measurement:
    """Measure how far each tensor has turned since the start: ``1 − cos(w_t, w_0)``.

    Args:
        start: A ``state_dict`` from the start.
        now: From now.
        model: Names the parameters; without it running statistics and the like count too.

    Raises:
        ValueError: If the weights are not of one model.

    Source: Carbonnelle and De Vleeschouwer (2019), "Layer rotation: a surprisingly simple indicator
    of generalization in deep networks?", whose best runs reach 1 in every layer.
    """
    both = {n: pair for n, pair in pairs(start, now, model).items() if pair[0].dim() > 1}
    if not both:
        raise ValueError("the weights hold no matrix, so there is no layer that could turn")
    turned = tuple(rotation(one, two) for one, two in both.values())
    return Measurement(
        name="layer rotation",
        formula="1 − cos(w_t, w_0)",
        source="Carbonnelle and De Vleeschouwer (2019)",
        of="weight",
        rows=tuple(both),
        columns={"rotation": turned},
        figures={"least": min(turned), "most": max(turned)},
    )


def scale_invariant_weights(
    model: nn.Module,
    batches: Any,
    loss: Loss | None = None,
    *,
    tolerance: float = 1e-4,
    seed: int = 0,
) -> tuple[str, ...]:
    """Name the weights whose length does not matter to the loss, in training mode.

    By Euler's relation the gradient is at right angles to such a weight: ``|⟨g, w⟩| ≤
    tolerance·‖g‖·‖w‖``, and as one weight may be so by chance, at twice its length the loss must be
    the same too.

    Args:
        model: Any module; its weights are put back.
        batches: A pair (inputs, targets), or several.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        tolerance: How far from a right angle, and how much of the loss.
        seed: Of random layers.

    Raises:
        ValueError: See :func:`objective`.
    """
    found = []
    with objective(model, batches, loss, training=True, weights=True, seed=seed) as held:
        gradients = held.parts(held.mean_gradient())
        before = held.loss()
        for (name, weight), gradient in zip(held.parameters.items(), gradients, strict=True):
            lengths = torch.linalg.vector_norm(gradient) * torch.linalg.vector_norm(weight.detach())
            along = (gradient * weight.detach()).sum().abs()
            if weight.dim() < 2 or not lengths or along > tolerance * lengths:
                continue
            with torch.no_grad():
                weight.mul_(2)
                change = abs(held.loss() - before)
                weight.div_(2)
            if change <= tolerance * abs(before):
                found.append(name)
    return tuple(found)


def _ratio(before: Tensor, after: Tensor) -> float:
    length = torch.linalg.vector_norm(before.double())
    change = torch.linalg.vector_norm(after.double() - before.double())
    return (change / length).item() if length else math.nan
