"""Singular values of the Jacobians of blocks and of all blocks together, never formed.

A start in which all singular values are near 1 passes signals and gradients unbent. Golub and
Kahan's bidiagonalisation with products ``J·v`` and ``Jᵀ·u`` gives the extreme values, the moments
and the density from one sequence of steps.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skipwise.analysis.depth.boundaries import row_names
from skipwise.analysis.depth.spectrum import (
    Law,
    Quadrature,
    quadrature_of,
    residual_density,
    residual_law,
)
from skipwise.analysis.depth.structure import structure_of
from skipwise.analysis.depth.theory.operations import strangers
from skipwise.analysis.depth.theory.reading import steps_of
from skipwise.analysis.depth.theory.stage import Step
from skipwise.analysis.forward import Pass, Visit, watched_pass
from skipwise.analysis.graph import Point, pulled_back, pushed_forward
from skipwise.analysis.measurement import Measurement, Theory
from skipwise.analysis.problem import Loss, pose
from skipwise.analysis.sites import Sites, as_sites
from skipwise.analysis.untouched import untouched
from skipwise.randomness import generator
from skipwise.shapes import AnyStream

COLUMNS = (
    "largest",
    "smallest",
    "mean square",
    "fourth by square",
    "mean log",
    "mean square error",
)
RESOLVED = 1e-6  # of the largest σ; in float32 rounding decides below
SPREAD = 0.1  # of log σ
FEWEST, LARGEST_GAIN = 10, 0.2  # what many blocks with small gains are
CONDITION = (
    "many blocks with small gains, identity skips with nothing after the sum, square independent"
    " random branches that are linear or have two layers (a single pre-activated layer has masks"
    " that repeat: then only the mean square holds)"
)


def jacobian(
    model: nn.Module,
    batch: Any,
    loss: Loss | None = None,
    *,
    sites: Sites | str | None = None,
    probes: int = 4,
    steps: int = 20,
    seed: int = 0,
) -> Measurement:
    """Measure the singular values of every block's Jacobian, and of all blocks together.

    J is that of the whole batch: examples are blocks of it, unless BatchNorm in training mode joins
    them. Columns: the largest and the smallest σ (the latter from above, it converges last), m₁ =
    E σ², m₂/m₁² = E σ⁴/(E σ²)², E log σ, and the standard error of m₁ over probes.

    Args:
        model: Any module, in the mode in which it is to be measured.
        batch: (inputs, targets).
        loss: ``(output, targets) → one number``; the cross-entropy if None.
        sites: The blocks, or a pattern of their names; found if None.
        probes: Number of random vectors; standard errors fall as ``1/√probes``.
        steps: Products with J and with Jᵀ for each of them.
        seed: Of the vectors.

    Returns:
        One row for each call of a block, and one for the whole.

    Raises:
        ValueError: If probes or steps is not positive.

    Source: Pennington et al. (2017) for the question, Golub, Kahan (1965) for the method.
    """
    problem = pose(model, batch, loss)
    sites = as_sites(problem.model, sites)
    with untouched(problem.model):
        seen = watched_pass(problem, sites)
        pairs = [(visit.start, visit.end) for visit in seen.visits]
        pairs.append((seen.visits[0].start, seen.visits[-1].end))
        rows = [_row(singular_values(*p, probes=probes, steps=steps, seed=seed)) for p in pairs]
        gains = sum(branch_gain(*pair, probes=probes, seed=seed) for pair in pairs[:-1])
        theories = _laws(gains, len(pairs), _unlike(seen, gains))
    return _record((*row_names(seen.visits), "whole"), rows, gains, theories)


def jacobian_density(
    model: nn.Module,
    batch: Any,
    loss: Loss | None = None,
    *,
    sites: Sites | str | None = None,
    probes: int = 8,
    steps: int = 40,
    seed: int = 0,
) -> Measurement:
    """Measure how the singular values of all blocks together are spread, by Lanczos quadrature.

    Columns: the density of log σ (each node spread by 0.1, or by the distance of two values of σ
    where that is more) and the share of singular values below σ, which is not smoothed. The values
    of σ reach from the smallest measured to the largest, over at most 10⁶, below which rounding
    decides. Theory is the universal law of residual networks at the measured sum of gains, and is
    left out where its condition is not met.

    Args:
        model: Any module, in the mode in which it is to be measured.
        batch: (inputs, targets).
        loss: ``(output, targets) → one number``; the cross-entropy if None.
        sites: The blocks, or a pattern of their names; found if None.
        probes: Number of random vectors.
        steps: Products with J and with Jᵀ for each of them.
        seed: Of the vectors.

    Returns:
        One row for each of 60 values of σ.

    Source: Ghorbani et al. (2019) for the quadrature; Tarnowski et al. (2019) for the law.
    """
    problem = pose(model, batch, loss)
    sites = as_sites(problem.model, sites)
    with untouched(problem.model):
        seen = watched_pass(problem, sites)
        gains = sum(branch_gain(v.start, v.end, probes=probes, seed=seed) for v in seen.visits)
        start, end = seen.visits[0].start, seen.visits[-1].end
        whole = singular_values(start, end, probes=probes, steps=steps, seed=seed)
        unlike = _unlike(seen, gains)
    return _density_record(whole, gains, unlike)


def branch_gain(start: Point, end: Point, *, probes: int, seed: int = 0) -> float:
    """Give ``E‖J·v − v‖²/‖v‖²`` over random v: the mean-square gain of what is added to x.

    Where the shape changes there is no identity to take away, and it is ``E‖J·v‖²/‖v‖² − 1``.
    """
    noise = generator(seed, "gain")
    found = []
    for _ in range(probes):
        vector = torch.randn(start.shape, generator=noise, dtype=torch.float64)
        vector = vector.to(start.device, start.dtype)
        pushed, square = pushed_forward(vector, start, end), float(vector.square().sum())
        if start.shape == end.shape:
            found.append(float((pushed - vector).square().sum()) / square)
        else:
            found.append(float(pushed.square().sum()) / square - 1)
    return sum(found) / probes


def singular_values(
    start: Point, end: Point, *, probes: int, steps: int, seed: int = 0
) -> Quadrature:
    """Give nodes and weights for the singular values of the Jacobian between two points.

    Raises:
        ValueError: If probes or steps is not positive.
    """
    if probes < 1 or steps < 1:
        raise ValueError(f"probes and steps must be positive, got {probes} and {steps}")

    def push(vector: AnyStream) -> AnyStream:
        return pushed_forward(vector, start, end)

    def pull(vector: AnyStream) -> AnyStream:
        return pulled_back(vector, end, start)

    noise = generator(seed, "jacobian")
    count = min(steps, start.shape.numel(), end.shape.numel())
    found = []
    for _ in range(probes):
        vector = torch.randn(start.shape, generator=noise, dtype=torch.float64)
        found.append(_bidiagonal(push, pull, vector.to(start.device, start.dtype), count))
    return quadrature_of(found)


def _bidiagonal(
    push: Callable[[AnyStream], AnyStream],
    pull: Callable[[AnyStream], AnyStream],
    start: AnyStream,
    steps: int,
) -> np.ndarray:
    """Give B with ``J·V = U·B``, upper bidiagonal; every vector is made orthogonal to all before.

    It ends early where the vectors span an invariant space: the identity needs one step.
    """
    rights, lefts = [start / start.norm()], []
    diagonal, above = [], []
    for _ in range(steps):
        left = push(rights[-1])
        if lefts:
            left = left - above[-1] * lefts[-1]
        left, alpha = _orthogonal(left, lefts)
        diagonal.append(alpha)
        if alpha == 0:
            break
        lefts.append(left)
        right, beta = _orthogonal(pull(left) - alpha * rights[-1], rights)
        if beta <= 1e-6 * max(diagonal) or len(diagonal) == steps:
            break
        above.append(beta)
        rights.append(right)
    return np.diag(diagonal) + np.diag(above[: len(diagonal) - 1], 1)


def _orthogonal(vector: Tensor, others: list[Tensor]) -> tuple[Tensor, float]:
    """Take the parts along the others away, twice for the sake of rounding, and normalise."""
    for _ in range(2):
        for other in others:
            vector = vector - torch.sum(vector * other) * other
    norm = float(vector.double().norm())  # squares of 1e-25 are zero in float32
    return (vector / norm if norm else vector), norm


def _row(found: Quadrature) -> tuple[float, ...]:
    square, error = found.mean(2)
    fourth, _ = found.mean(4)
    nodes = np.concatenate(found.nodes)
    ratio = fourth / square**2 if square else math.nan
    return (
        float(nodes.max()),
        float(nodes.min()),
        square,
        ratio,
        found.mean_logarithm()[0],
        error,
    )


def _record(
    names: tuple[str, ...],
    rows: list[tuple[float, ...]],
    gains: float,
    theories: tuple[Theory, ...],
) -> Measurement:
    columns = {name: tuple(row[n] for row in rows) for n, name in enumerate(COLUMNS)}
    return Measurement(
        name="Singular values of the Jacobians",
        formula="σ(∂x_{l+1}/∂x_l); the whole: σ(∂x_L/∂x_0)",
        source="Pennington et al. (2017); Golub, Kahan (1965)",
        rows=names,
        columns=columns,
        figures={"sum of gains": gains},
        theories=theories,
        shown="largest",
        logarithmic=True,
    )


def _density_record(whole: Quadrature, gains: float, unlike: str | None) -> Measurement:
    law = residual_law(max(gains, 0)) if unlike is None else None
    values = _values(np.concatenate(whole.nodes), law)
    width = max(SPREAD, math.log(values[1] / values[0]))
    edges = {} if law is None else {"edge below": law.smallest, "edge above": law.largest}
    needs = f"the universal law does not hold here; it needs {CONDITION}{unlike}"
    return Measurement(
        name="Density of the Jacobian's singular values",
        formula="shares of σ(∂x_L/∂x_0)",
        source="Ghorbani et al. (2019); Tarnowski et al. (2019)",
        of="σ",
        rows=tuple(f"{value:.4g}" for value in values),
        columns={
            "density": tuple(map(float, whole.density(values, width))),
            "share below": tuple(map(float, whole.below(values))),
        },
        figures={"sum of gains": gains} | edges,
        theories=() if law is None else _densities(values, gains),
        positions=tuple(map(float, np.log10(values))),
        notes=("the figure's axis is log₁₀ σ", *(() if law else (needs,))),
    )


def _values(nodes: np.ndarray, law: Law | None) -> np.ndarray:
    """Give the σ to show: all that were measured, with the edges of the law where it holds."""
    edges = () if law is None else (law.smallest, law.largest)
    top = max(float(nodes.max()), *edges, 0.0) or 1.0  # no gradient arrives: all are 0
    low = max(min(float(nodes.min()), *edges, top), RESOLVED * top)
    return np.geomspace(low / 1.5, top * 1.5, 60)


def _unlike(seen: Pass, gains: float) -> str | None:
    """Say what of the network the universal law does not know, as the end of its condition.

    None where the law holds; empty where its condition is not met, as it stands.
    """
    steps = steps_of(seen.visits)
    found = strangers([], (name for step in steps for name in step.other_norms))
    few = len(steps) < FEWEST or gains / len(steps) >= LARGEST_GAIN
    return found if found or few or not all(map(_fits, seen.visits, steps)) else None


def _fits(visit: Visit, step: Step) -> bool:
    """Whether a block's structure is that of the universal law."""
    joins = structure_of(visit).joins
    if len(joins) != 1 or not visit.keeps_shape:
        return False
    identity = joins[0].carried is not None and joins[0].carried.key == visit.start.key
    # Squared masks must differ from block to block: a matrix before every activation.
    spaced = len(step.bends) < max(len(step.layers), 1)
    return identity and spaced and not step.after and not step.norms


def _laws(gains: float, rows: int, unlike: str | None) -> tuple[Theory, ...]:
    law = residual_law(max(gains, 0))
    wanted = {
        "largest": (law.largest, "σ₊² = (s+1)/(s−1)·e^(cs), s = √(1 + 2/c)"),
        "smallest": (law.smallest, "σ₋ = 1/σ₊"),
        "mean square": (law.mean, "m₁ = e^c"),
        "fourth by square": (law.ratio, "m₂/m₁² = 1 + 2c"),
        "mean log": (0.0, "E log σ = 0"),
    }
    return tuple(
        Theory(
            name=f"residual, {column}",
            column=column,
            formula=formula,
            condition=f"{CONDITION}{unlike or ''}",
            values=(*[math.nan] * (rows - 1), value),
            holds=unlike is None,
            source="Tarnowski et al. (2019); edges derived from its law",
        )
        for column, (value, formula) in wanted.items()
    )


def _densities(values: np.ndarray, gains: float) -> tuple[Theory, ...]:
    if gains <= 0:
        return ()
    density = residual_density(values**2, gains) * 2 * values**2  # of log σ
    logs = np.log(values)
    steps = (density[1:] + density[:-1]) / 2 * np.diff(logs)
    below = np.concatenate([[0.0], np.cumsum(steps)])
    return tuple(
        Theory(
            name="residual",
            column=column,
            formula="G = (zG − 1)·exp(c(1 − 2zG))",
            condition=CONDITION,
            values=tuple(map(float, curve)),
            holds=True,
            source="Tarnowski et al. (2019)",
        )
        for column, curve in (("density", density), ("share below", below))
    )
