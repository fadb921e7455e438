"""How alike the states at two depths are: linear CKA, without the bias of few examples."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from skipwise.analysis.batches import posed
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.sites import Sites, as_sites
from skipwise.analysis.state.observed import run_and_see

Products = Float[Tensor, "examples examples"]


def hsic(first: Products, second: Products, *, debiased: bool = True) -> float:
    """Give the dependence of two sets of states from the products between examples.

    Biased: ``tr(KHLH)/(n−1)²`` with H the centring. Debiased, with zeros on both diagonals:
    ``[tr KL + 1ᵀK1·1ᵀL1/((n−1)(n−2)) − 2/(n−2)·1ᵀKL1] / (n(n−3))``, whose mean is 0 for states that
    are independent.

    Args:
        first: ``K = X·Xᵀ``.
        second: ``L = Y·Yᵀ``.
        debiased: Which of the two.

    Raises:
        ValueError: If there are fewer than four examples, or two for the biased one.

    Source: Gretton et al. (2005); Song et al. (2012), "Feature selection via dependence
    maximization", theorem 2.
    """
    n = len(first)
    if n < (4 if debiased else 2):
        raise ValueError(f"similarity needs {4 if debiased else 2} examples or more, got {n}")
    one, two = first.double(), second.double()
    if not debiased:
        return (_centred(one) * _centred(two)).sum().item() / (n - 1) ** 2
    one, two = one - one.diag().diag(), two - two.diag().diag()
    apart = one.sum() * two.sum() / ((n - 1) * (n - 2))
    apart -= 2 / (n - 2) * torch.dot(one.sum(0), two.sum(0))
    return ((one * two).sum() + apart).item() / (n * (n - 3))


def _centred(products: Products) -> Products:
    rows = products - products.mean(0)
    return rows - rows.mean(1, keepdim=True)


def linear_cka(
    first: Float[Tensor, "examples p"],
    second: Float[Tensor, "examples q"],
    *,
    debiased: bool = True,
) -> float:
    """Give ``HSIC(K, L)/√(HSIC(K, K)·HSIC(L, L))``: 1 for states that are rotated and scaled.

    Biased it is ``‖YᵀX‖_F²/(‖XᵀX‖_F·‖YᵀY‖_F)``, centred, which for independent normal states of p
    features and n examples is about p/(n + p) and not 0. One far example decides it.

    Args:
        first: X.
        second: Y, of the same examples.
        debiased: Whether the bias is taken off; it can be a little below 0 then.

    Raises:
        ValueError: If there are too few examples.

    Source: Kornblith et al. (2019), "Similarity of neural network representations revisited";
    Nguyen, Raghu, Kornblith (2021) for the debiased one.
    """
    one, two = (state.double() @ state.double().mT for state in (first, second))
    both = ((one, two), (one, one), (two, two))
    return _ratio(*(hsic(*pair, debiased=debiased) for pair in both))


def _ratio(both: float, one: float, other: float) -> float:
    return both / math.sqrt(one * other) if one > 0 and other > 0 else math.nan


def state_similarity(
    model: nn.Module,
    batches: Any,
    *,
    sites: Sites | str | None = None,
    training: bool = False,
    seed: int = 0,
) -> Measurement:
    """Measure debiased linear CKA between what all blocks give.

    Several batches add their HSIC before the ratio is taken, so memory holds the products of one
    batch only.

    Args:
        model: Any module.
        batches: A pair (inputs, targets), or several, of four examples at least.
        sites: The blocks, a pattern of their names, or None to find them.
        training: In evaluation mode, or in training mode.
        seed: Of random layers.

    Returns:
        A row and a column for each block.

    Raises:
        ValueError: If there are too few examples, or no block is found, or see :func:`posed`.
    """
    with posed(model, batches, training=training, seed=seed) as problems:
        names = as_sites(problems[0].model, sites).names
        totals = torch.zeros(len(names), len(names), dtype=torch.float64)
        for problem in problems:
            products: list[Products] = []

            def see(name: str, state: Tensor, products: list[Products] = products) -> None:
                flat = state.flatten(1).double()
                products.append((flat @ flat.mT).cpu())

            run_and_see(problem, names, see)
            rows = [[hsic(one, other) for other in products] for one in products]
            totals += torch.tensor(rows, dtype=torch.float64)
    return _record(names, totals)


def _record(names: tuple[str, ...], totals: Tensor) -> Measurement:
    own = totals.diag()
    table = torch.where(
        (own[:, None] > 0) & (own > 0), totals / (own[:, None] * own).abs().sqrt(), math.nan
    )
    near = [table[i, i + 1].item() for i in range(len(names) - 1)]
    return Measurement(
        name="similarity of states",
        formula="linear CKA, debiased: HSIC(K, L)/√(HSIC(K, K)·HSIC(L, L))",
        source="Kornblith et al. (2019); Nguyen, Raghu, Kornblith (2021)",
        rows=tuple(names),
        columns={name: tuple(table[:, i].tolist()) for i, name in enumerate(names)},
        figures={
            "first and last": table[0, -1].item(),
            "lowest between neighbours": min(near, default=math.nan),
        },
    )
