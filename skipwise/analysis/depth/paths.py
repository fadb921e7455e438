"""The gradient sorted by the number of branches it passed: Veit's paths, exactly.

A residual network of n blocks is a sum over 2ⁿ paths, each block being passed through its skip or
its branch. The gradient of all paths with k branches obeys ``G_k ← Sᵀ·G_k + J_Fᵀ·G_{k−1}`` from the
last block to the first, so the spectrum costs n(n + 1)/2 products with branches and no sampling,
and its sum is the gradient.
"""

import math
from typing import Any

import torch
from torch import nn

from skipwise.analysis.depth.boundaries import boundary_gradients, inner
from skipwise.analysis.depth.structure import Structure, split_back, structure_of
from skipwise.analysis.forward import Pass, watched_pass
from skipwise.analysis.graph import pulled_back
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.problem import Loss, pose
from skipwise.analysis.sites import Sites, as_sites
from skipwise.analysis.untouched import untouched
from skipwise.shapes import AnyStream


def path_spectrum(
    model: nn.Module, batch: Any, loss: Loss | None = None, *, sites: Sites | str | None = None
) -> Measurement:
    """Sort the gradient at the first block by the number k of branches that it passed.

    Columns: energy ``‖G_k‖²``, its share of ``Σ_k ‖G_k‖²``, and the additive share
    ``⟨G_k, g⟩/‖g‖²``, whose sum is 1. Figures: effective depth ``Σ_k k·⟨G_k, g⟩/‖g‖²``, mean path
    length by energy, and the sum error ``‖Σ G_k − g‖/‖g‖``.

    Args:
        model: Any module, in the mode in which it is to be measured.
        batch: (inputs, targets).
        loss: ``(output, targets) → one number``; the cross-entropy if None.
        sites: The blocks, or a pattern of their names; found if None.

    Returns:
        One row for each k from 0 to the number of blocks.

    Raises:
        ValueError: If a block's skip and branch cannot be told apart.

    Source: Veit et al. (2016), section 4.2. Differs: exact, where the paper samples paths and adds
    norms of vectors that may cancel.
    """
    problem = pose(model, batch, loss)
    sites = as_sites(problem.model, sites)
    with untouched(problem.model):
        seen = watched_pass(problem, sites)
        structures = _known(seen)
        first, last = _ends(seen)
        parts = [last]
        for number in reversed(range(len(seen.visits))):
            parts = _through(seen, structures, number, parts)
        energies = [inner(part, part) for part in parts]
        along = [inner(part, first) for part in parts]
        rest = torch.stack(parts).sum(0) - first
        error = math.sqrt(inner(rest, rest))
        whole = inner(first, first)
    return _record(energies, along, whole, error)


def effective_depth(
    model: nn.Module, batch: Any, loss: Loss | None = None, *, sites: Sites | str | None = None
) -> float:
    """Give ``k = Σ_k k·⟨G_k, g⟩/‖g‖²``, the number of branches that the gradient passes on average.

    Beside g the vector ``h = Σ_k k·G_k`` is taken back: ``g ← (S + J_F)ᵀ·g``,
    ``h ← (S + J_F)ᵀ·h + J_Fᵀ·g``. So it costs two backward passes, and no difference is taken.

    Args:
        model: Any module.
        batch: (inputs, targets).
        loss: ``(output, targets) → one number``; the cross-entropy if None.
        sites: The blocks, or a pattern of their names.

    Returns:
        A number of blocks; NaN where no gradient reaches the first block.

    Raises:
        ValueError: If a block's skip and branch cannot be told apart.
    """
    problem = pose(model, batch, loss)
    sites = as_sites(problem.model, sites)
    with untouched(problem.model):
        seen = watched_pass(problem, sites)
        structures = _known(seen)
        _, gradient = _ends(seen)
        counted = torch.zeros_like(gradient)
        for number in reversed(range(len(seen.visits))):
            gradient, counted = (_between(seen, number, v) for v in (gradient, counted))
            skip, branch = split_back(seen.visits[number], structures[number], gradient)
            over, within = split_back(seen.visits[number], structures[number], counted)
            gradient, counted = skip + branch, over + within + branch
        energy = inner(gradient, gradient)
        return inner(gradient, counted) / energy if energy else math.nan


def design_depths(blocks: int) -> dict[str, float]:
    """Give the effective depth that theory expects of the designs at the start.

    With branch gains a_l the squared norms give ``Σ a_l/(1 + a_l)``: n/2 unscaled, n/(n + 1) at
    1/√L, ``Σ 1/(2 + (1 − 1/π)·l)`` with BatchNorm before each single matrix, 0 where the branches
    start at zero.

    >>> {name: round(depth, 3) for name, depth in design_depths(9).items()}
    {'unscaled': 4.5, '1/√L': 0.9, 'BatchNorm': 2.26, 'identity': 0.0}
    """
    step = 1 - 1 / math.pi
    return {
        "unscaled": blocks / 2,
        "1/√L": blocks / (blocks + 1),
        "BatchNorm": sum(1 / (2 + step * block) for block in range(blocks)),
        "identity": 0.0,
    }


def _record(energies: list[float], along: list[float], energy: float, error: float) -> Measurement:
    total = sum(energies)
    shares = tuple(part / energy if energy else math.nan for part in along)
    weights = tuple(each / total if total else math.nan for each in energies)
    return Measurement(
        name="Gradient by the number of branches passed",
        formula="G_k ← Sᵀ·G_k + J_Fᵀ·G_{k−1}, Σ_k G_k = g",
        source="Veit et al. (2016), section 4.2, exactly",
        of="branches",
        rows=tuple(map(str, range(len(energies)))),
        columns={"energy": tuple(energies), "energy share": weights, "additive share": shares},
        figures={
            "effective depth": sum(k * share for k, share in enumerate(shares)),
            "mean path length": sum(k * weight for k, weight in enumerate(weights)),
            "sum error": error / math.sqrt(energy) if energy else math.nan,
            "blocks": len(energies) - 1,
        },
        notes=_notes(error, energy),
        shown="energy share",
    )


def _known(seen: Pass) -> list[Structure]:
    """Read the structures of all blocks.

    Raises:
        ValueError: If one is unknown.
    """
    structures = [structure_of(visit) for visit in seen.visits]
    for visit, structure in zip(seen.visits, structures, strict=True):
        if structure.unknown:
            raise ValueError(
                f"paths cannot be followed through {visit.site.name}: {structure.unknown}"
            )
    return structures


def _ends(seen: Pass) -> tuple[AnyStream, AnyStream]:
    """Give the gradient at the start of the first block and at the end of the last."""
    gradients = boundary_gradients(seen)
    return gradients[0][0], gradients[-1][1]


def _between(seen: Pass, number: int, vector: AnyStream) -> AnyStream:
    """Take a vector from the start of the next block to the end of this one."""
    if number + 1 == len(seen.visits):
        return vector
    return pulled_back(vector, seen.visits[number + 1].start, seen.visits[number].end)


def _through(
    seen: Pass, structures: list[Structure], number: int, parts: list[AnyStream]
) -> list[AnyStream]:
    """Take every G_k back through one block."""
    pairs = [
        split_back(seen.visits[number], structures[number], _between(seen, number, part))
        for part in parts
    ]
    none = torch.zeros_like(pairs[0][0])
    skips = [*(skip for skip, _ in pairs), none]
    branches = [none, *(branch for _, branch in pairs)]
    return [skip + branch for skip, branch in zip(skips, branches, strict=True)]


def _notes(error: float, energy: float) -> tuple[str, ...]:
    if energy and error <= 1e-3 * math.sqrt(energy):
        return ()
    return (
        "the parts do not add up to the gradient at the first block: the signal passes the blocks"
        " on other ways too, or no gradient arrives",
    )
