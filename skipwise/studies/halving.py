"""Successive halving within one arm: the better half of its trials goes on, the others stop.

Between arms nothing is halved: runs whose rate falls late look bad early, so an arm would be judged
by its schedule. Within one arm all trials have the same schedule and are compared at the same share
of it. Each of them trains under the schedule of the whole length from the start and pauses; one
that goes on continues from its save, and is bit for bit the trial that would never have paused. A
trial with a short schedule of its own could not be gone on with, as its rate had already fallen.

Source: Jamieson & Talwalkar (2016), "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", arXiv 1502.07943, successive halving: ⌈log₂ K⌉ rungs, each with the same total cost.
Differs: odd numbers are halved upwards, so that exactly one would be left after the last rung; and
the last rung, of two trials, reaches the whole length, from which the cost of a rung follows.
"""

import math
from collections.abc import Sequence

LEAST = 3  # with two trials both would run to the end, so nothing would be halved


def sizes(trials: int) -> tuple[int, ...]:
    """Give how many trials take part in each rung.

    >>> sizes(8), sizes(5)
    ((8, 4, 2), (5, 3, 2))
    """
    found = [trials]
    while found[-1] > 2:
        found.append(math.ceil(found[-1] / 2))
    return tuple(found)


def shares(trials: int) -> tuple[float, ...]:
    """Give the share of its length at which a trial pauses in each rung; the last is 1.

    With n_k trials in rung k and the same cost B for every rung, a trial takes B/n_k more in it:
    ``share_k = Σ_{j ≤ k} 1/n_j / Σ_j 1/n_j``.

    >>> [round(share, 3) for share in shares(8)]
    [0.143, 0.429, 1.0]
    """
    parts = [1 / size for size in sizes(trials)]
    return tuple(math.fsum(parts[: k + 1]) / math.fsum(parts) for k in range(len(parts)))


def lengths(trials: int) -> float:
    """Give what halving costs an arm, in lengths of a whole run, where no trial diverges.

    >>> round(lengths(8), 2)
    3.43
    """
    parts = [1 / size for size in sizes(trials)]
    return len(parts) / math.fsum(parts)


def going_on(scores: Sequence[float | None], count: int, *, higher: bool) -> tuple[int, ...]:
    """Give the numbers of the best trials of a rung, in their order.

    Of equal scores the earlier trial goes on. One without a score, which diverged or failed, never
    does, so that fewer than ``count`` may.

    >>> going_on([0.5, None, 0.7, 0.5], 2, higher=True)
    (0, 2)

    Args:
        scores: On validation at the pause; None where there is none.
        count: How many go on at most.
        higher: Whether a high score is good.
    """
    sign = -1.0 if higher else 1.0
    ended = [(sign * score, n) for n, score in enumerate(scores) if score is not None]
    return tuple(sorted(n for _, n in sorted(ended)[:count]))
