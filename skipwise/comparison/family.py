"""The comparisons that get a verdict: declared before training, and judged together.

Of many comparisons some come out by chance. Holm's procedure keeps the probability that *any* of a
family does below the level, whatever depends on what. It works only for a family that nobody chose
by its results, so the family is a part of the design.
"""

import math

import numpy as np

from skipwise.comparison.signs import EXACT_PAIRS, least_p
from skipwise.comparison.study import Design


def holm(p: np.ndarray) -> np.ndarray:
    """Give p-values that may be held against the level of the whole family.

    In ascending order ``p̃_(i) = max over j ≤ i of min(1, (m − j + 1)·p_(j))``.

    >>> [round(float(p), 3) for p in holm(np.array([0.01, 0.04, 0.03, 0.005]))]
    [0.03, 0.06, 0.06, 0.02]

    Args:
        p: The p-values of the family, shape ``(*studies, m)``.

    Returns:
        The same shape.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    p = np.asarray(p, np.float64)
    order = p.argsort(-1, kind="stable")
    factors = np.arange(p.shape[-1], 0, -1)
    grown = np.take_along_axis(p, order, -1) * factors
    grown = np.minimum(np.maximum.accumulate(grown, -1), 1.0)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, grown, -1)
    return adjusted


def least_seeds(comparisons: int, level: float = 0.05) -> int:
    """Give how many seeds a family needs at least to reach any verdict: ``2/2ⁿ ≤ level/m``.

    >>> [least_seeds(m) for m in (1, 3, 6)]
    [6, 7, 8]
    """
    return max(math.ceil(math.log2(2 * comparisons / level) - 1e-9), 1)


def warning(design: Design) -> str:
    """Say before anything trains that no verdict can come of it; empty if one can."""
    comparisons, seeds = len(design.family), len(design.seeds)
    if not comparisons:
        return "The study declares no comparison, so it will give intervals and no verdict."
    if least_p(seeds) <= design.level / comparisons * (1 + 1e-9):
        return ""
    needed = least_seeds(comparisons, design.level)
    if needed > EXACT_PAIRS:
        return (
            f"No verdict is possible: {comparisons:,} comparisons in one family are more than"
            f" {seeds:,} seeds can tell apart; declare fewer."
        )
    one = comparisons == 1
    return (
        f"With {seeds} seed{'' if seeds == 1 else 's'} no verdict is possible: the least p-value"
        f" of the exact test is 2/2^{seeds} = {least_p(seeds):.2g}, and"
        f" {'one comparison needs' if one else f'{comparisons} comparisons together need'}"
        f" {design.level / comparisons:.2g}. {needed} seeds could reach one."
    )


def extension(design: Design) -> str:
    """Say what it does to verdicts that seeds were added to a study; empty if none were.

    Whoever adds seeds until there is a verdict has tested once more each time: each test gives a
    false verdict with probability α at most, so m of them with ``m·α`` at most (Boole).
    """
    if not design.earlier_seeds:
        return ""
    before = ", then ".join(str(seeds) for seeds in design.earlier_seeds)
    looks = len(design.earlier_seeds) + 1
    return (
        f"This study had been planned with {before} seeds and has {len(design.seeds)} now: if their"
        " results were seen before more were asked for, the probability of any false verdict is up"
        f" to {100 * looks * design.level:.0f} %, not {100 * design.level:.0f} %; a verdict is safe"
        f" where its corrected p is at most {design.level / looks:.2g} and the number of looks was"
        " settled before."
    )
