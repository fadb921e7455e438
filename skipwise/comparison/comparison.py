"""The comparison: all that the statistics say of a study, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass

from skipwise.comparison.ablation import PartWorth, ablation_of
from skipwise.comparison.family import warning
from skipwise.comparison.pairs import Pair, judge, others
from skipwise.comparison.scores import ArmSummary, summarise, worst_score
from skipwise.comparison.study import Design, StudyRecord
from skipwise.comparison.times import (
    KINDS,
    ArmTime,
    PairTime,
    Profile,
    arm_time,
    is_known,
    pair_time,
    profiles,
)
from skipwise.comparison.tuning import (
    Sensitivity,
    TuningCost,
    TuningCurve,
    sensitivity,
    tuning_cost,
    tuning_curve,
)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a study answers.

    Attributes:
        design: What was declared before training.
        warning: Why no verdict can come of it; empty if one can.
        arms: Best first within each network, by the interquartile mean.
        pairs: The family, in the order of the design.
        others: All other pairs: intervals, no verdict.
        worst: What a diverged run scores, by network.
        times: By arm and kind; empty without a target, and no kind that is not known of every run
            that reached it. So are ``pair_times`` and ``profiles``.
        tuned: What was tried of the arms that were tuned, and what it cost.
        tuning: The best of so many trials, where all went to the end; likewise ``sensitivity``
            where rates were tried.
        ablation: What the parts are worth, if the design asks it.
    """

    design: Design
    warning: str
    arms: Sequence[ArmSummary]
    pairs: Sequence[Pair]
    others: Sequence[Pair]
    worst: dict[str, float]
    times: Sequence[ArmTime]
    pair_times: Sequence[PairTime]
    profiles: Sequence[Profile]
    tuned: Sequence[TuningCost]
    tuning: Sequence[TuningCurve]
    sensitivity: Sequence[Sensitivity]
    ablation: Sequence[PartWorth]


def compare(record: StudyRecord) -> Comparison:
    """Compare the arms of a study, as far as it has come."""
    design = record.design
    names = [arm.name for arm in design.arms]
    wanted = KINDS if design.target is not None else ()
    kinds = [kind for kind in wanted if is_known(record, kind)]
    networks = list(dict.fromkeys(arm.network for arm in design.arms))
    sign = 1.0 if design.lower_is_better else -1.0
    summaries = [summarise(record, name) for name in names]
    summaries.sort(key=lambda s: (networks.index(s.network), _last(sign * s.interquartile_mean)))
    return Comparison(
        design=design,
        warning=warning(design),
        arms=tuple(summaries),
        pairs=tuple(judge(record)),
        others=tuple(others(record)),
        worst={network: worst_score(record, network) for network in networks},
        times=tuple(arm_time(record, name, kind) for kind in kinds for name in names),
        pair_times=tuple(pair_time(record, *two, kind) for kind in kinds for two in design.family),
        profiles=tuple(profile for kind in kinds for profile in profiles(record, kind)),
        tuned=tuple(cost for name in names if (cost := tuning_cost(record, name))),
        tuning=tuple(curve for name in names if (curve := tuning_curve(record, name))),
        sensitivity=tuple(found for name in names if (found := sensitivity(record, name))),
        ablation=tuple(ablation_of(record)),
    )


def _last(value: float) -> float:
    return value if value == value else float("inf")  # an arm without runs stands last
