"""The scores of an arm: brought into one direction, with a number for runs that diverged.

A run that diverged counts as the worst of all and is never dropped. In ranks and times that is
infinity. A difference of means needs a number, and any number will do for the test as long as the
choice does not depend on which arm of a pair is which: if the arms are the same, a pair may still
change places. :func:`worst_score` is such a choice, a function of all the scores of the networks of
a pair together.
"""

from dataclasses import dataclass

import numpy as np

from skipwise.comparison.study import StudyRecord

RESAMPLES = 10_000
LEAST_RUNS = 5  # of fewer a bootstrap gives little more than the lowest and the highest


@dataclass(frozen=True, kw_only=True)
class ArmSummary:
    """The scores of one arm.

    All of them count, diverged ones with the worst score; the interquartile mean leaves out a
    quarter of the runs at either end. ``low`` and ``high`` are its 95 % interval by the percentile
    bootstrap, which is approximate and too narrow for few runs. ``seconds`` is the mean of a run.
    """

    arm: str
    network: str
    method: str
    runs: int
    missing: int
    diverged: int
    mean: float
    deviation: float
    interquartile_mean: float
    low: float
    high: float
    median: float
    least: float
    most: float
    steps: float
    seconds: float
    clipped: int
    skipped: int
    rolled_back: int


def worst_score(record: StudyRecord, *networks: str) -> float:
    """Give what a diverged run of these networks scores.

    The design's ``worst`` if it has one, for example the score of guessing. Else one whole range
    below the worst of all finite scores of their runs (above, where lower is better), so
    that a single failure weighs more than any difference between runs that ended. Nothing is ever
    better than the worst run that ended.
    """
    design = record.design
    names = {arm.name for arm in design.arms if arm.network in networks}
    scores = [run.score for run in record.runs if run.arm in names and not run.failed]
    sign = -1.0 if design.lower_is_better else 1.0
    ended = sign * np.array(scores or [0.0])
    if design.worst is not None:
        return float(sign * min(sign * design.worst, ended.min() if scores else np.inf))
    reach = ended.max() - ended.min() or max(abs(ended.min()), 1.0)
    return float(sign * (ended.min() - reach))


def scores_of(record: StudyRecord, arm: str, *beside: str) -> dict[int, float]:
    """Give the scores of an arm by their seeds, a diverged run with the worst score.

    Args:
        record: The study.
        arm: The arm.
        beside: Others that it is compared with: one worst score holds for all of them.
    """
    worst = worst_score(record, *(record.design.arm(name).network for name in (arm, *beside)))
    return {s: worst if run.failed else run.score for s, run in record.of(arm).items()}


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Give the mean without the lowest and the highest quarter (rounded down).

    Args:
        scores: Shape ``(*samples, runs)``.

    Source: Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical
    Precipice", section 4.3.
    """
    ordered = np.sort(np.asarray(scores, np.float64), -1)
    cut = ordered.shape[-1] // 4
    return ordered[..., cut : ordered.shape[-1] - cut].mean(-1)


def bootstrap_interval(scores: np.ndarray) -> tuple[float, float]:
    """Give the approximate 95 % interval of the interquartile mean: percentiles of resamples.

    10,000 of them, always drawn alike.
    """
    drawn = np.random.default_rng(0).integers(0, len(scores), (RESAMPLES, len(scores)))
    low, high = np.quantile(interquartile_mean(np.asarray(scores)[drawn]), (0.025, 0.975))
    return float(low), float(high)


def summarise(record: StudyRecord, name: str) -> ArmSummary:
    """Give the summary of one arm; NaN for what no run tells."""
    arm, runs = record.design.arm(name), record.of(name)
    scores = np.array([*scores_of(record, name).values()])
    none = len(scores) == 0
    few = len(scores) < LEAST_RUNS
    low, high = (np.nan, np.nan) if few else bootstrap_interval(scores)
    return ArmSummary(
        arm=name,
        network=arm.network,
        method=arm.method,
        runs=len(runs),
        missing=len(record.design.seeds) - len(runs),
        diverged=sum(run.failed for run in runs.values()),
        mean=np.nan if none else float(scores.mean()),
        deviation=float(scores.std(ddof=1)) if len(scores) > 1 else np.nan,
        interquartile_mean=np.nan if none else float(interquartile_mean(scores)),
        low=low,
        high=high,
        median=np.nan if none else float(np.median(scores)),
        least=np.nan if none else float(scores.min()),
        most=np.nan if none else float(scores.max()),
        steps=np.nan if none else float(np.mean([run.steps for run in runs.values()])),
        seconds=np.nan if none else float(np.mean([run.seconds for run in runs.values()])),
        clipped=sum(run.clipped for run in runs.values()),
        skipped=sum(run.skipped for run in runs.values()),
        rolled_back=sum(run.rolled_back for run in runs.values()),
    )
