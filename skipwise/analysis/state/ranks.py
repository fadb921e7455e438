"""How many directions a layer's output, or its weight, really has."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from skipwise.analysis.batches import posed
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.problem import as_module, check_weights
from skipwise.analysis.sites import Sites, as_sites
from skipwise.analysis.state.observed import run_and_see

Singular = Float[Tensor, " directions"]


def effective_rank(singular: Singular) -> float:
    """Give ``exp(−Σ pᵢ ln pᵢ)`` with ``p = σ/Σσ``: n for n equal values, 1 for one, 0 for zeros.

    >>> round(effective_rank(torch.ones(5)), 12)
    5.0

    Source: Roy and Vetterli (2007), "The effective rank", definition 1.
    """
    values = singular.double()
    if not bool(values.any()):
        return 0.0
    shares = values / values.sum()
    return torch.special.entr(shares).sum().exp().item()


def stable_rank(singular: Singular) -> float:
    """Give ``‖A‖_F² / ‖A‖²``: how many times the largest squared singular value they add up to.

    Source: Rudelson and Vershynin (2007), "Sampling from large matrices".
    """
    squares = singular.double().square()
    return (squares.sum() / squares.max()).item() if bool(squares.any()) else 0.0


def directions_for(variances: Float[Tensor, " directions"], share: float = 0.99) -> int:
    """Count the largest variances that together reach a share of the sum.

    Source: Richter et al. (2021), "Feature space saturation during training" (99 %).
    """
    ordered = variances.double().sort(descending=True).values.cumsum(0)
    return int((ordered < share * ordered[-1]).sum()) + 1 if bool(ordered[-1] > 0) else 0


def state_ranks(
    model: nn.Module,
    batches: Any,
    *,
    sites: Sites | str | None = None,
    training: bool = False,
    seed: int = 0,
) -> Measurement:
    """Measure the ranks of what each block gives: of the covariance between its units.

    Every position of every example is a sample. The singular values are those of the centred
    states, the square roots of the covariance's eigenvalues. At the end of training a head that
    separates C classes needs C − 1 directions, so a low rank there is health; at the start it is
    collapse, which the mean cosine between examples (not centred) shows too.

    Args:
        model: Any module.
        batches: A pair (inputs, targets), or several; the targets are not used.
        sites: The blocks, a pattern of their names, or None to find them.
        training: In evaluation mode, or in training mode.
        seed: Of random layers.

    Returns:
        A row for each block.

    Raises:
        ValueError: If no block is found or one runs twice, or see :func:`posed`.
    """
    sums: dict[str, list[Tensor]] = {}

    def see(name: str, state: Tensor) -> None:
        rows = state.reshape(-1, state.shape[-1]).double()
        count = torch.tensor(float(len(rows)), dtype=torch.float64)
        fresh = [count, rows.sum(0), rows.mT @ rows, *_cosines(state)]
        kept = sums.setdefault(name, [torch.zeros_like(each) for each in fresh])
        sums[name] = [old + new for old, new in zip(kept, fresh, strict=True)]

    with posed(model, batches, training=training, seed=seed) as problems:
        names = as_sites(problems[0].model, sites).names
        for problem in problems:
            run_and_see(problem, names, see)
    return _record({name: sums[name] for name in names})


def _record(sums: Mapping[str, list[Tensor]]) -> Measurement:
    spectra = {name: _variances(*parts[:3]) for name, parts in sums.items()}
    return Measurement(
        name="rank of the state",
        formula="exp(entropy of σ/Σσ), ‖A‖_F²/‖A‖², directions for 99 % of the variance",
        source="Roy and Vetterli (2007); Rudelson and Vershynin (2007); Richter et al. (2021)",
        rows=tuple(sums),
        columns={
            "effective rank": tuple(effective_rank(v.sqrt()) for v in spectra.values()),
            "stable rank": tuple(stable_rank(v.sqrt()) for v in spectra.values()),
            "for 99 %": tuple(float(directions_for(v)) for v in spectra.values()),
            "width": tuple(float(len(v)) for v in spectra.values()),
            "samples": tuple(parts[0].item() for parts in sums.values()),
            "mean cosine": tuple((parts[3] / parts[4]).item() for parts in sums.values()),
        },
    )


def _cosines(state: Tensor) -> tuple[Tensor, Tensor]:
    """Sum the cosines between different examples, and count the pairs."""
    flat = nn.functional.normalize(state.flatten(1).double(), dim=1)
    total = flat.sum(0).square().sum() - flat.square().sum()
    return total, torch.tensor(float(len(flat) * (len(flat) - 1)), dtype=torch.float64)


def _variances(count: Tensor, total: Tensor, products: Tensor) -> Tensor:
    mean = total / count
    return torch.linalg.eigvalsh(products / count - mean.outer(mean)).clamp(min=0)


def weight_ranks(model: nn.Module) -> Measurement:
    """Measure the ranks of every weight of two axes or more, as a matrix (outputs, all the rest).

    Args:
        model: Any module.

    Raises:
        ValueError: If it has no such weight, or weights are not finite.
    """
    check_weights(as_module(model))
    weights = {name: p.detach() for name, p in model.named_parameters() if p.dim() > 1}
    if not weights:
        raise ValueError(f"{type(model).__name__} has no weight that is a matrix")
    spectra = {n: torch.linalg.svdvals(w.flatten(1).float()) for n, w in weights.items()}
    return Measurement(
        name="rank of the weights",
        formula="exp(entropy of σ/Σσ), ‖W‖_F²/‖W‖²",
        source="Roy and Vetterli (2007); Rudelson and Vershynin (2007)",
        of="weight",
        rows=tuple(weights),
        columns={
            "effective rank": tuple(map(effective_rank, spectra.values())),
            "stable rank": tuple(map(stable_rank, spectra.values())),
            "largest": tuple(float(len(values)) for values in spectra.values()),
        },
    )
