"""What tuning cost and what it brought: the best of k trials, and how much the rate matters."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skipwise.comparison.study import StudyRecord, Trial

RATE = "rate"
NEAR = 0.05  # of the best score: a rate that is as good for most purposes


@dataclass(frozen=True, kw_only=True)
class TuningCost:
    """What was tried of an arm, and what it cost.

    ``stopped`` holds, for each share of the length at which trials were halved away, how many
    stopped there; it is empty where none were. ``lengths`` is what all trials took together, in
    lengths of a whole run, where none diverged. ``settings`` are those of the trial that was taken,
    ``score`` is its own.
    """

    arm: str
    trials: int
    stopped: Mapping[str, int]
    diverged: int
    lengths: float
    seconds: float
    settings: Mapping[str, float]
    score: float


@dataclass(frozen=True, kw_only=True)
class TuningCurve:
    """What an arm reaches if only k of its trials are spent: ``expected[k − 1]``."""

    arm: str
    expected: Sequence[float]
    diverged: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """The scores of an arm's trials over their rates, in ascending order of the rate.

    ``low`` and ``high`` are the ends of the unbroken range of tried rates around the best that
    score within 5 % of it; ``decades`` is its width. ``at_edge`` says that the best rate is the
    lowest or the highest that was tried, so a better one may lie beyond.
    """

    arm: str
    rates: Sequence[float]
    scores: Sequence[float]
    best: float
    best_score: float
    low: float
    high: float
    decades: float
    at_edge: bool


def expected_best(scores: Sequence[float], draws: int) -> float:
    """Give the expected highest of so many scores, drawn without putting back.

    With x_(1) ≤ … ≤ x_(K) it is ``Σ_i x_(i)·C(i − 1, k − 1)/C(K, k)``: x_(i) is the highest if it
    is drawn and the other k − 1 come from those below.

    >>> expected_best([1.0, 2.0, 3.0], 2)
    2.6666666666666665

    Args:
        scores: K of them.
        draws: k, from 1 to K.

    Source: Tang et al. (2020), "Showing Your Work Doesn't Always Work", eq. 6: the unbiased form of
    what Dodge et al. (2019) estimate.
    """
    ordered, count = sorted(scores), len(scores)
    weights = [math.comb(i, draws - 1) for i in range(count)]
    return sum(x * w for x, w in zip(ordered, weights, strict=True)) / math.comb(count, draws)


def tuning_cost(record: StudyRecord, arm: str) -> TuningCost | None:
    """Say what was tried of an arm, None if it was not tuned."""
    trials = [trial for trial in record.trials if trial.arm == arm]
    if not trials:
        return None
    early = sorted(t.share for t in trials if t.share < 1 and math.isfinite(t.score))
    taken = next((trial for trial in trials if trial.chosen), None)
    return TuningCost(
        arm=arm,
        trials=len(trials),
        stopped={f"{share:.0%}": early.count(share) for share in early},
        diverged=sum(not math.isfinite(trial.score) for trial in trials),
        lengths=math.fsum(trial.share for trial in trials),
        seconds=math.fsum(t.seconds for t in trials if math.isfinite(t.seconds)),
        settings={} if taken is None else taken.settings,
        score=math.nan if taken is None else taken.score,
    )


def tuning_curve(record: StudyRecord, arm: str) -> TuningCurve | None:
    """Give the curve of an arm, None if it was not tuned, or if its trials were halved.

    A trial that diverged scores as the worst of the arm's that did not; where lower is better the
    curve falls.
    """
    trials = [trial for trial in record.trials if trial.arm == arm]
    sign = -1.0 if record.design.lower_is_better else 1.0
    ended = [sign * trial.score for trial in trials if math.isfinite(trial.score)]
    if not ended or _are_halved(trials):
        return None
    worst = min(ended)
    scores = [sign * t.score if math.isfinite(t.score) else worst for t in trials]
    return TuningCurve(
        arm=arm,
        expected=tuple(sign * expected_best(scores, k) for k in range(1, len(scores) + 1)),
        diverged=len(trials) - len(ended),
        seconds=math.fsum(t.seconds for t in trials if math.isfinite(t.seconds)),
    )


def sensitivity(record: StudyRecord, arm: str) -> Sensitivity | None:
    """Give how an arm's score depends on the rate.

    None if fewer than two rates were tried, or if trials were halved: scores at different parts of
    the length cannot be compared.
    """
    trials = [trial for trial in record.trials if trial.arm == arm and RATE in trial.settings]
    trials.sort(key=lambda trial: trial.settings[RATE])
    rates = [trial.settings[RATE] for trial in trials]
    ended = [trial for trial in trials if math.isfinite(trial.score)]
    if len(set(rates)) < 2 or not ended or _are_halved(trials):
        return None
    sign = -1.0 if record.design.lower_is_better else 1.0
    best = max(ended, key=lambda trial: sign * trial.score)
    near = _near(trials, trials.index(best), sign)
    low, high = (near[n].settings[RATE] for n in (0, -1))
    return Sensitivity(
        arm=arm,
        rates=tuple(rates),
        scores=tuple(trial.score for trial in trials),
        best=best.settings[RATE],
        best_score=best.score,
        low=low,
        high=high,
        decades=math.log10(high / low),
        at_edge=best.settings[RATE] in (rates[0], rates[-1]),
    )


def _are_halved(trials: Sequence[Trial]) -> bool:
    return any(trial.share < 1 for trial in trials)


def _near(trials: Sequence[Trial], best: int, sign: float) -> Sequence[Trial]:
    """Give the unbroken stretch of trials around the best that are within 5 % of it."""
    top = sign * trials[best].score
    good = [sign * trial.score >= top - NEAR * abs(top) for trial in trials]
    first = last = best
    while first > 0 and good[first - 1]:
        first -= 1
    while last + 1 < len(good) and good[last + 1]:
        last += 1
    return trials[first : last + 1]
