"""L-BFGS: the direction in closed form, and what its line search promises of the length."""

from collections.abc import Sequence

import numpy as np

from skipwise.conformity.formulas.formula import Array

DESCENT, FLATTENING = 1e-4, 0.9  # c₁ and c₂ of the strong Wolfe conditions, those of torch


def direction(gradient: Array, pairs: Sequence[tuple[Array, Array]]) -> Array:
    """Give −H g, H made of pairs (s, y), the oldest laid on first.

    H₀ = sᵀy/yᵀy · 1 of the newest pair, and H ← (1 − s yᵀ/sᵀy) H (1 − y sᵀ/sᵀy) + s sᵀ/sᵀy.

    Source: Nocedal, Wright (2006), "Numerical optimization", eq. 7.16 and 7.20; the matrix is
    written out, where rules of limited memory go over the pairs twice.
    """
    if not pairs:
        return -gradient
    newest_s, newest_y = pairs[-1]
    one = np.eye(len(gradient))
    inverse = one * (newest_s @ newest_y) / (newest_y @ newest_y)
    for s, y in pairs:
        across = one - np.outer(s, y) / (s @ y)
        inverse = across @ inverse @ across.T + np.outer(s, s) / (s @ y)
    return -inverse @ gradient


def excess(losses: tuple[float, float], slopes: tuple[float, float], length: float) -> float:
    """Give by how much a step breaks the strong Wolfe conditions, 0 or less if it keeps them.

    f(w + td) ≤ f(w) + c₁ t gᵀd and |g(w + td)ᵀd| ≤ c₂ |gᵀd|.

    Args:
        losses: f before and after.
        slopes: gᵀd before and after.
        length: t.
    """
    before, after = slopes
    descended = losses[1] - losses[0] - DESCENT * length * before
    return max(descended / abs(length * before), abs(after / before) - FLATTENING)
