"""What comes back through the skip of a block, and what through its branch: g = Sᵀ·g_y + J_Fᵀ·g_y.

He et al. (2016) write the gradient of a residual network as ∂E/∂x_l = ∂E/∂x_L·(1 + ∂/∂x_l ΣF): the
1 is what the skips carry back unchanged, past every weight. Here both parts are measured, block by
block, each by a product with its own Jacobian, so that their sum is a check and no definition.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from skipwise.analysis.depth.boundaries import (
    boundary_gradients,
    inner,
    quotient,
    row_names,
    stage_ends,
)
from skipwise.analysis.depth.structure import PLAIN, Structure, split_back, structure_of
from skipwise.analysis.forward import Visit, watched_pass
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.problem import Loss, pose
from skipwise.analysis.sites import Sites, as_sites
from skipwise.analysis.untouched import untouched
from skipwise.shapes import AnyStream

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}
COLUMNS = (
    "gradient norm",
    "skip norm",
    "branch norm",
    "energy ratio",
    "branch share",
    "cosine",
    "global identity share",
    "sum error",
    "forward share",
)


def gradient_split(
    model: nn.Module, batch: Any, loss: Loss | None = None, *, sites: Sites | str | None = None
) -> Measurement:
    """Split the gradient at the input of every block into what its skip and its branch bring back.

    With g_y the gradient at a block's output, S the Jacobian of its skip and J_F that of its
    branch, ``g_skip = Sᵀ·g_y`` and ``g_branch = J_Fᵀ·g_y``. An activation after the sum acts on g_y
    first. The columns, of which all but the norms are free of the loss's scale:

    * energy ratio ``ρ = ‖g_branch‖/‖g_skip‖``;
    * branch share ``⟨g_branch, g⟩/‖g‖²``; the skip's is one minus it;
    * cosine of g_skip and g_branch;
    * global identity share ``⟨g_L, g⟩/‖g‖²``, with g_L the gradient at the end of the block's
      stage, the blocks that follow each other in one shape: the 1 of eq. 5;
    * sum error ``‖g_skip + g_branch − g‖/‖g‖``, g from the backward pass of the whole model;
    * forward share ``E F²/E y²`` at the sum y of skip and branch; of several sums the largest.

    A plain block's share is 1. Parts that cannot be told apart, or do not add up, are NaN.

    Args:
        model: Any module, in the mode in which it is to be measured.
        batch: (inputs, targets).
        loss: ``(output, targets) → one number``; the cross-entropy if None.
        sites: The blocks, or a pattern of their names; found if None.

    Returns:
        One row for each call of a block, in order.

    Source: He et al. (2016), "Identity mappings in deep residual networks", eq. 3–5. Differs: a
    shortcut that is no identity has a Jacobian of its own, and eq. 5 is stated stage by stage.
    """
    problem = pose(model, batch, loss)
    sites = as_sites(problem.model, sites)
    with untouched(problem.model):
        seen = watched_pass(problem, sites, _keep_nothing)  # a look notes the sums' moments
        structures = [structure_of(visit) for visit in seen.visits]
        ends = boundary_gradients(seen)
        rows = list(_rows(seen.visits, structures, ends))
    names = row_names(seen.visits)
    known = [structure for structure in structures if not structure.unknown]
    return Measurement(
        name="Gradient through skip and branch",
        formula="g = g_skip + g_branch, g_skip = Sᵀ·g_y, g_branch = J_Fᵀ·g_y",
        source="He et al. (2016), eq. 3–5",
        rows=names,
        columns={name: tuple(row[n] for row in rows) for n, name in enumerate(COLUMNS)},
        figures={"blocks split": len(known), "blocks": len(names)},
        notes=_notes(names, structures, rows),
        shown="branch share",
    )


def _rows(
    visits: tuple[Visit, ...], structures: list[Structure], ends: list[tuple[Tensor, Tensor]]
) -> Iterator[tuple[float, ...]]:
    last = stage_ends(visits)
    for number, (visit, structure) in enumerate(zip(visits, structures, strict=True)):
        gradient, after = ends[number]
        energy = inner(gradient, gradient)
        identity = math.nan
        if structure.joins and visit.keeps_shape:
            identity = quotient(inner(ends[last[number]][1], gradient), energy)
        if structure.unknown:
            yield (math.sqrt(energy), *[math.nan] * 5, identity, math.nan, math.nan)
            continue
        skip, branch = split_back(visit, structure, after)
        split = _split(skip, branch, gradient, energy, identity)
        yield (math.sqrt(energy), *split, _forward_share(visit, structure))


def _split(
    skip: AnyStream, branch: AnyStream, gradient: AnyStream, energy: float, identity: float
) -> tuple[float, ...]:
    through, beside = math.sqrt(inner(skip, skip)), math.sqrt(inner(branch, branch))
    rest = skip + branch - gradient
    error = quotient(math.sqrt(inner(rest, rest)), math.sqrt(energy))
    if error > TOLERANCE.get(gradient.dtype, 3e-2):
        return (*[math.nan] * 5, identity, error)
    return (
        through,
        beside,
        quotient(beside, through),
        quotient(inner(branch, gradient), energy),
        quotient(inner(skip, branch), through * beside),
        identity,
        error,
    )


def _keep_nothing(_: AnyStream) -> None:
    return None


def _forward_share(visit: Visit, structure: Structure) -> float:
    """Give E F²/E y², the largest over the block's sums; 1 for a plain block."""
    shares = [] if structure.joins else [1.0]
    for join in structure.joins:
        made = next(s for s in visit.sums if s.result.key == join.result.key)
        assert made.moments is not None
        left, right, product = made.moments
        writes_left = made.left is join.written if join.written else made.left is None
        shares.append(quotient(left if writes_left else right, left + right + 2 * product))
    return max(shares)


def _notes(
    names: tuple[str, ...], structures: list[Structure], rows: list[tuple[float, ...]]
) -> tuple[str, ...]:
    notes = [
        f"{n}: UNKNOWN, {s.unknown}" for n, s in zip(names, structures, strict=True) if s.unknown
    ]
    plain = [name for name, s in zip(names, structures, strict=True) if s.plain]
    if plain:
        notes.append(f"{', '.join(plain)}: {PLAIN}")
    for name, structure, row in zip(names, structures, rows, strict=True):
        if not structure.unknown and math.isnan(row[1]):
            notes.append(
                f"{name}: UNKNOWN, the parts miss the gradient by {row[7]:.2g} of its norm, so its"
                " input reaches the loss past the block too"
            )
    return tuple(notes)
