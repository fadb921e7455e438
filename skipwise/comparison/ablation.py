"""What the parts of a strategy are worth: each left out of the whole, each added to nothing.

The two differ where parts help or replace each other, so both are given, each with its interval.
"""

from dataclasses import dataclass

from skipwise.comparison.pairs import Pair, measure
from skipwise.comparison.study import StudyRecord


@dataclass(frozen=True, kw_only=True)
class PartWorth:
    """The advantage of having a part: beside all others, and alone; None where it was not run."""

    part: str
    beside: Pair | None
    alone: Pair | None


def ablation_of(record: StudyRecord) -> list[PartWorth]:
    """Give the worth of each part that the design's ablation names; empty if it has none."""
    plan = record.design.ablation
    if plan is None:
        return []
    family = {frozenset(pair) for pair in record.design.family}

    def worth(having: str, lacking: str | None) -> Pair | None:
        if not having or not lacking:
            return None
        planned = frozenset((having, lacking)) in family
        return measure(record, having, lacking, planned=planned)

    parts = dict.fromkeys([*plan.without, *plan.only])
    return [
        PartWorth(
            part=part,
            beside=worth(plan.full, plan.without.get(part)),
            alone=worth(plan.only.get(part, ""), plan.none),
        )
        for part in parts
    ]
