"""V11: BatchNorm's running statistics against those of the data."""

import math
from functools import partial
from statistics import median

from skipwise.analysis import Measurement, short
from skipwise.diagnosis.cure import Cure, by_training, for_all, joined
from skipwise.diagnosis.rules.training.overfitting import SLIGHT
from skipwise.diagnosis.verdict import Level, Verdict

GAP = 0.10
SHIFT = 0.5
LOW, HIGH = 0.5, 2.0
SETTLED = 0.95
MOVING = 0.1  # of the peak of the rate
USELESS = 10.0  # times higher in evaluation mode, which no moving weights explain
USUAL_MOMENTUM = 0.1  # torch's; with it 29 batches settle

FRESH = joined((
    by_training(
        "a lower rate at the end (--set strategy.schedule=Cosine) or larger batches (--batch-size);"
        " averaged weights get fresh statistics at each evaluation (--set strategy.averaging=EMA)",
        module="a lower rate at the end (torch.optim.lr_scheduler.CosineAnnealingLR) or larger"
        " batches",
    ),
    for_all("torch.optim.swa_utils.update_bn mends trained weights"),
))

_verdict = partial(
    Verdict,
    rule="V11",
    name="stale statistics of BatchNorm",
    reference="the same loss in both modes; a shift of 0 and a variance ratio of 1",
    band="loss at most 10 % more in evaluation mode, shift up to 0.5, variance ratio 0.5 to 2",
    source="Singh and Shrivastava (2019), EvalNorm; Huang et al. (2022); the thresholds are ours",
)


def batch_statistics(
    *,
    normalisation: Measurement | None = None,
    rate_share: float | None = None,
    guessing: float = math.nan,
) -> Verdict:
    """Judge whether evaluation mode computes what training mode learned.

    WARN if the loss is more than 10 % higher in evaluation mode, if the median over norms of
    ``|μ_run − μ|/σ`` exceeds 0.5, or that of ``σ_run²/σ²`` leaves 0.5 to 2; FAIL if the loss is
    higher and the statistics are off. After T batches running statistics have come
    ``1 − (1 − m)^T`` of the way from their start. Where that is too little, and would be with
    torch's m = 0.1 as well, it is told and no fault: more batches settle it. Where only the
    momentum is too small, it is at fault. While the rate is high, weights move faster than the
    averages follow: a loss alone is told then and no fault, because it closes as the rate falls.
    Of a loss below a tenth of that of guessing no share matters.

    Args:
        normalisation: ``analysis.normalisation``.
        rate_share: The present rate over the largest of the run; None where it is not known.
        guessing: The loss of guessing; NaN where it is not known.
    """
    if normalisation is None or not normalisation.rows:
        return _verdict(
            level=Level.UNKNOWN,
            says="Running statistics were not compared: no BatchNorm keeps any, or no batch was"
            " given.",
        )
    numbers = _numbers(normalisation)
    gap = numbers["relative gap"]
    shift, ratio = numbers["shift, median"], numbers["variance ratio, median"]
    costly = gap > GAP and not numbers["loss in evaluation mode"] < SLIGHT * guessing
    off = shift > SHIFT or not LOW <= ratio <= HIGH
    if not costly and not off:
        says = "Evaluation mode computes what training mode learned."
        return _verdict(level=Level.PASS, says=says, numbers=numbers)
    if _early(numbers["batches"]):
        return _unsettled(numbers)
    if not off and gap <= USELESS and rate_share is not None and rate_share > MOVING:
        return _moving(rate_share, numbers)
    return _verdict(
        level=Level.FAIL if costly and off else Level.WARN,
        says=_says(gap, shift, ratio, costly=costly),
        numbers=numbers,
        where=_worst(normalisation),
        remedy=_cure(numbers["settled"]),
        confidence="" if costly and off else "one of the two witnesses, loss and statistics",
    )


def _unsettled(numbers: dict[str, float]) -> Verdict:
    return _verdict(
        level=Level.INFO,
        says=f"Running statistics are {numbers['settled']:.0%} settled after"
        f" {numbers['batches']:.0f} batches, so evaluation mode is not yet what was trained; more"
        " batches settle them.",
        numbers=numbers,
        confidence="1 − (1 − m)^T from the count of batches that the norms keep",
    )


def _moving(rate_share: float, numbers: dict[str, float]) -> Verdict:
    return _verdict(
        level=Level.INFO,
        says=f"The loss is {_higher(numbers['relative gap'])} in evaluation mode, while the rate"
        f" is {rate_share:.0%} of its peak: weights move faster than running statistics follow, and"
        " mostly meet them once the rate falls.",
        numbers=numbers,
    )


def _numbers(normalisation: Measurement) -> dict[str, float]:
    figures = normalisation.figures
    return {
        "relative gap": figures["relative gap"],
        "loss in evaluation mode": figures["loss in evaluation mode"],
        "loss in training mode": figures["loss in training mode"],
        "shift, median": _middle(normalisation["shift"]),
        "variance ratio, median": _middle(normalisation["variance ratio"]),
        "settled": min(normalisation["settled"]),
        "batches": min(normalisation["batches"]),
    }


def _early(batches: float) -> bool:
    """Whether so few batches were seen that even a usual momentum would not have settled."""
    return 1 - (1 - USUAL_MOMENTUM) ** batches < SETTLED


def _says(gap: float, shift: float, ratio: float, *, costly: bool) -> str:
    off = f"the running mean is {short(shift)} σ off, the variance {short(ratio)} times the data's"
    if costly:
        return f"The loss is {_higher(gap)} in evaluation mode than in training mode; {off}."
    return f"Running statistics are not those of the data: {off}."


def _higher(gap: float) -> str:
    return f"{gap:.0%} higher" if gap <= USELESS else f"{short(1 + gap)} times higher"


def _cure(settled: float) -> Cure:
    if settled < SETTLED:
        return for_all(
            f"the norms' momentum is so small that they are {settled:.0%} settled: use torch's"
            " momentum=0.1; mend trained weights with torch.optim.swa_utils.update_bn"
        )
    return FRESH


def _worst(normalisation: Measurement) -> tuple[str, ...]:
    rows = zip(
        normalisation.rows, normalisation["shift"], normalisation["variance ratio"], strict=True
    )
    off = {n: s for n, s, r in rows if s > SHIFT or not LOW <= r <= HIGH}
    return tuple(sorted(off, key=lambda name: -off[name]))


def _middle(values: tuple[float, ...]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return median(known) if known else math.inf
