"""Two arms against each other: by how much the first is better, and what may be said of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from skipwise.comparison.family import holm
from skipwise.comparison.scores import scores_of, worst_score
from skipwise.comparison.signs import (
    hodges_lehmann,
    seeds_to_see,
    sign_flip_interval,
    sign_flip_p,
    smallest_difference,
)
from skipwise.comparison.study import Design, StudyRecord

Verdict = Literal["better", "worse", "equivalent", "inconclusive", "unfinished", "none"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What the pairs of runs say of two arms.

    An *advantage* is a difference of scores, positive where the first arm is better. What too few
    pairs cannot tell is NaN, an end of an interval infinite.

    Attributes:
        planned: Whether the comparison belongs to the family; only then is there a verdict.
        pairs: Seeds that both arms have.
        missing: Seeds of the design that one of them has not.
        first_diverged: Runs of the first arm that diverged, among the pairs.
        worst: What a run that diverged scores in this comparison.
        advantage: The Hodges-Lehmann estimate.
        mean: The mean, which is what the test is about.
        deviation: Standard deviation of the differences.
        low: With ``high`` the 95 % interval (one minus the design's level) of this comparison.
        family_low: With ``family_high`` the interval at the level divided by the comparisons of the
            family: all of them hold together with 95 %.
        p: Exact two-sided p-value of the sign-flip test.
        holm_p: The same, corrected for the family; NaN outside.
        probability: P(first is better in a pair), ties counting half.
        correlation: Of the two arms' scores over the seeds.
        smallest_seen: The smallest true difference that this study could have seen, with 80 %
            probability at the level divided by the comparisons of the family.
        further_seeds: How many more might end in a verdict, if the true mean is the one that was
            seen; None if there is a verdict, or if it is more than 1,000.
    """

    first: str
    second: str
    planned: bool
    pairs: int
    missing: int
    first_diverged: int
    second_diverged: int
    worst: float
    advantage: float
    mean: float
    deviation: float
    low: float
    high: float
    family_low: float
    family_high: float
    p: float
    probability: float
    correlation: float
    smallest_seen: float
    holm_p: float = math.nan
    further_seeds: int | None = None
    verdict: Verdict = "none"


def advantages(record: StudyRecord, first: str, second: str) -> np.ndarray:
    """Give how much better the first arm is, seed by seed."""
    ours, theirs = scores_of(record, first, second), scores_of(record, second, first)
    sign = -1.0 if record.design.lower_is_better else 1.0
    return sign * np.array([ours[seed] - theirs[seed] for seed in ours if seed in theirs])


def measure(record: StudyRecord, first: str, second: str, *, planned: bool = False) -> Pair:
    """Compare two arms over the seeds that both have, without a verdict."""
    design = record.design
    ours, theirs = record.of(first), record.of(second)
    seeds = [seed for seed in ours if seed in theirs]
    found, enough = advantages(record, first, second), len(seeds) > 1
    corrected = design.level / max(len(design.family), 1)
    unbounded = -math.inf, math.inf
    low, high = sign_flip_interval(found, design.level) if enough else unbounded
    family_low, family_high = sign_flip_interval(found, corrected) if enough else unbounded
    return Pair(
        first=first,
        second=second,
        planned=planned,
        pairs=len(seeds),
        missing=len(design.seeds) - len(seeds),
        first_diverged=sum(ours[seed].failed for seed in seeds),
        second_diverged=sum(theirs[seed].failed for seed in seeds),
        worst=worst_score(record, design.arm(first).network, design.arm(second).network),
        advantage=float(hodges_lehmann(found)) if seeds else math.nan,
        mean=float(found.mean()) if seeds else math.nan,
        deviation=float(found.std(ddof=1)) if enough else math.nan,
        low=float(low),
        high=float(high),
        family_low=float(family_low),
        family_high=float(family_high),
        p=float(sign_flip_p(found)) if seeds else 1.0,
        probability=float(((found > 0) + (found == 0) / 2).mean()) if seeds else math.nan,
        correlation=_correlation(record, first, second, seeds),
        smallest_seen=float(smallest_difference(found, corrected)) if seeds else math.inf,
    )


def _correlation(record: StudyRecord, first: str, second: str, seeds: Sequence[int]) -> float:
    both = np.array([
        [scores_of(record, arm, first, second)[seed] for seed in seeds] for arm in (first, second)
    ]).reshape(2, -1)
    if len(seeds) < 3 or (np.ptp(both, axis=1) == 0).any():
        return math.nan
    return float(np.corrcoef(both)[0, 1])


def judge(record: StudyRecord) -> list[Pair]:
    """Compare the pairs of the family, and give their verdicts.

    Better or worse: Holm's p is at most the level. Equivalent: the interval that holds for all of
    the family together lies inside the margin, which is two one-sided tests of the sign-flip kind.
    No verdict is given before every planned run of both arms is there: to look, and to stop when
    the result pleases, would make the p-values wrong.
    """
    family = [measure(record, *pair, planned=True) for pair in record.design.family]
    # A pair that is not complete has no p yet, and its interim one would help the others.
    adjusted = holm(np.array([1.0 if pair.missing else pair.p for pair in family]))
    return [
        _with_verdict(record, replace(pair, holm_p=float(p)))
        for pair, p in zip(family, adjusted, strict=True)
    ]


def _with_verdict(record: StudyRecord, pair: Pair) -> Pair:
    level, margin = record.design.level, record.design.margin
    if pair.missing:
        return replace(pair, verdict="unfinished")
    if pair.holm_p <= level * (1 + 1e-9):
        return replace(pair, verdict="better" if pair.mean > 0 else "worse")
    if margin is not None and -margin < pair.family_low and pair.family_high < margin:
        return replace(pair, verdict="equivalent")
    return replace(pair, verdict="inconclusive", further_seeds=_further(record, pair))


def _further(record: StudyRecord, pair: Pair) -> int | None:
    """Estimate how many seeds are missing to either verdict, the nearer one."""
    design = record.design
    level = design.level / len(design.family)
    gaps = [abs(pair.mean)]
    if design.margin is not None and abs(pair.mean) < design.margin:
        gaps.append(design.margin - abs(pair.mean))
    needed = [seeds_to_see(gap, pair.deviation, level) for gap in gaps]
    known = [seeds for seeds in needed if seeds is not None]
    return max(min(known) - pair.pairs, 1) if known else None


def others(record: StudyRecord) -> list[Pair]:
    """Compare the arms outside the family, those that share something first; without verdicts."""
    names = [arm.name for arm in record.design.arms]
    family = {frozenset(pair) for pair in record.design.family}
    found = [
        (first, second)
        for n, second in enumerate(names)
        for first in names[n + 1 :]
        if frozenset((first, second)) not in family
    ]
    found.sort(key=lambda pair: not are_related(record.design, *pair))
    return [measure(record, *pair) for pair in found]


def are_related(design: Design, first: str, second: str) -> bool:
    """Whether two arms share a network or a method, so that their difference is of one thing."""
    one, other = design.arm(first), design.arm(second)
    return one.network == other.network or one.method == other.method
