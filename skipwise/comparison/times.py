"""The way to the target: in steps, seconds and multiplications, and over several networks.

A run that never reached the target took infinitely long. Medians, quartiles and signs bear that;
means do not, so there are none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

from skipwise.comparison.study import ArmRun, StudyRecord

KINDS = ("steps", "seconds", "macs")
LARGEST_RATIO = 4.0  # of a performance score


@dataclass(frozen=True, kw_only=True)
class ArmTime:
    """How long the runs of an arm took to the target; infinite where half or more missed it."""

    arm: str
    kind: str
    runs: int
    misses: int
    median: float
    lower_quartile: float
    upper_quartile: float


@dataclass(frozen=True, kw_only=True)
class PairTime:
    """Which arm of a pair of runs was at the target first, seed by seed.

    ``p`` is the exact two-sided p-value of the sign test, not corrected for how many are looked at;
    pairs that were level, or both missed, do not count in it. ``ratio`` is the median of the first
    arm's time over the second's, NaN where it is not known.
    """

    first: str
    second: str
    kind: str
    earlier: int
    level: int
    later: int
    ratio: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """On which share of the workloads a method is at most so many times slower than the best.

    The share is ``shares[i]`` from the ratio ``ratios[i]`` on, up to the next. ``score`` is its
    mean over ratios from 1 to 4.
    """

    method: str
    kind: str
    workloads: int
    ratios: Sequence[float]
    shares: Sequence[float]
    score: float


def time_of(run: ArmRun, kind: str) -> float:
    """Give what a run took to the target; a run that diverged never counts as having reached it."""
    if run.failed:
        return math.inf
    return {
        "steps": run.steps_to_target,
        "seconds": run.seconds_to_target,
        "macs": run.macs_to_target,
    }[kind]


def is_known(record: StudyRecord, kind: str) -> bool:
    """Whether every run that reached the target has its time of a kind.

    The multiplications of a network of one's own may not be known.
    """
    reached = [run for run in record.runs if math.isfinite(run.steps_to_target) and not run.failed]
    return all(math.isfinite(time_of(run, kind)) for run in reached)


def arm_time(record: StudyRecord, arm: str, kind: str) -> ArmTime:
    """Give the median and quartiles of an arm's times.

    A quartile is the time of a run, the ⌈q·n⌉-th, so that none lies between a time and infinity.
    The median of an even number is the upper one of the two, for the same reason.
    """
    times = np.sort([time_of(run, kind) for run in record.of(arm).values()])
    count = len(times)

    def at(rank: int) -> float:
        return float(times[rank]) if count else math.nan

    return ArmTime(
        arm=arm,
        kind=kind,
        runs=count,
        misses=int(np.isinf(times).sum()),
        median=at(count // 2),
        lower_quartile=at(max(math.ceil(count / 4) - 1, 0)),
        upper_quartile=at(max(math.ceil(3 * count / 4) - 1, 0)),
    )


def sign_test(earlier: int, later: int) -> float:
    """Give the two-sided p-value of as many heads and tails of a fair coin.

    >>> round(sign_test(8, 0), 4), round(sign_test(5, 3), 4)
    (0.0078, 0.7266)
    """
    count = earlier + later
    return min(1.0, 2 * float(bdtr(min(earlier, later), count, 0.5))) if count else 1.0


def pair_time(record: StudyRecord, first: str, second: str, kind: str) -> PairTime:
    """Compare two arms' times to the target over the seeds that both have."""
    ours, theirs = record.of(first), record.of(second)
    seeds = [seed for seed in ours if seed in theirs]
    times = [(time_of(ours[s], kind), time_of(theirs[s], kind)) for s in seeds]
    earlier, later = sum(a < b for a, b in times), sum(a > b for a, b in times)
    ratios = [a / b for a, b in times if b > 0 and math.isfinite(b)]
    return PairTime(
        first=first,
        second=second,
        kind=kind,
        earlier=earlier,
        level=len(times) - earlier - later,
        later=later,
        ratio=float(np.median(ratios)) if len(ratios) == len(times) > 0 else math.nan,
        p=sign_test(earlier, later),
    )


def profiles(record: StudyRecord, kind: str) -> list[Profile]:
    """Give the performance profile of every method that has runs on every network of the study.

    With t(s, w) the median time of method s on workload w, ``ρ_s(τ)`` is the share of workloads
    with ``t(s, w) ≤ τ·min over s of t(s, w)``, and the score ``∫ρ_s dτ / (r − 1)`` from 1 to r = 4.
    A workload on which nobody reached the target counts, for nobody.

    Source: Dahl et al. (2023), "Benchmarking Neural Network Training Algorithms", after Dolan and
    Moré (2002), "Benchmarking optimization software with performance profiles".
    """
    design = record.design
    medians: dict[str, dict[str, float]] = {}
    for arm in design.arms:
        if record.of(arm.name):
            median = arm_time(record, arm.name, kind).median
            medians.setdefault(arm.network, {})[arm.method] = median
    everywhere = [
        method
        for method in dict.fromkeys(arm.method for arm in design.arms)
        if medians and all(method in times for times in medians.values())
    ]
    return [_profile(method, kind, medians) for method in everywhere]


def _profile(method: str, kind: str, medians: Mapping[str, Mapping[str, float]]) -> Profile:
    ratios = []
    for times in medians.values():
        best, own = min(times.values()), times[method]
        if math.isfinite(own):
            ratios.append(own / best if best > 0 else 1.0)
    ratios.sort()
    count = len(medians)
    score = sum(max(LARGEST_RATIO - ratio, 0.0) for ratio in ratios) / (LARGEST_RATIO - 1) / count
    return Profile(
        method=method,
        kind=kind,
        workloads=count,
        ratios=tuple(ratios),
        shares=tuple((n + 1) / count for n in range(len(ratios))),
        score=score,
    )
