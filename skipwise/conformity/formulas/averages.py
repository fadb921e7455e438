"""The averages of weights, each made anew from all the weights that there were."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from skipwise.conformity.formulas.formula import Arrays
from skipwise.strategies import EMA, LAWA, SWA, Averaging

Average = Callable[[Any, Arrays, Sequence[Arrays], int], Arrays]


def ema(rule: EMA, start: Arrays, weights: Sequence[Arrays], steps: int) -> Arrays:
    """Exponential mean: a ← d·a + (1 − d)·w with d = min(decay, (1 + t)/(10 + t)).

    Source: Polyak, Juditsky (1992), with the warm-up of TensorFlow's ``ExponentialMovingAverage``.
    """
    found = dict(start)
    for t, newest in enumerate(weights, 1):
        d = min(rule.decay, (1 + t) / (10 + t))
        found = {name: d * a + (1 - d) * newest[name] for name, a in found.items()}
    return found


def swa(rule: SWA, start: Arrays, weights: Sequence[Arrays], steps: int) -> Arrays:
    """The plain mean of the weights of the last part of the run, each so many steps from the end.

    Source: Izmailov et al. (2018), algorithm 1.
    """
    first = steps - max(round(rule.last * steps), 1) + 1
    return _mean(weights, [t for t in range(first, steps + 1) if (steps - t) % rule.every == 0])


def lawa(rule: LAWA, start: Arrays, weights: Sequence[Arrays], steps: int) -> Arrays:
    """The plain mean of the latest few weights at equal distances, which the last step ends.

    Source: Kaddour (2022), algorithm 1.
    """
    apart = max(rule.distance * steps, 1.0)
    times = (math.ceil(steps - n * apart - 1e-9) for n in range(steps))
    return _mean(weights, [t for t in times if 0 < t <= len(weights)][: rule.latest])


def _mean(weights: Sequence[Arrays], times: Sequence[int]) -> Arrays:
    """Give the mean of the weights of those times that were, of the newest where none was."""
    found = [weights[t - 1] for t in times if t <= len(weights)] or [weights[-1]]
    return {name: np.mean([w[name] for w in found], axis=0) for name in weights[-1]}


AVERAGES: Mapping[type[Averaging], Average] = {EMA: ema, SWA: swa, LAWA: lawa}
