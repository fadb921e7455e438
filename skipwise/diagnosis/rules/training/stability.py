"""V4: the edge of stability, and a rate that is too high."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from skipwise.analysis import Measurement, short
from skipwise.diagnosis.cure import Cure, by_training, for_all, joined
from skipwise.diagnosis.history import FEWEST, History, rises
from skipwise.diagnosis.rehearsal import Rehearsal
from skipwise.diagnosis.rules.training.cures import LOWER, WARMER
from skipwise.diagnosis.verdict import Level, Verdict

EDGE, BEYOND = 0.8, 1.2
WINDOW = 100  # steps of a history in which the loss may rise
SUSTAINED = 3  # measured steps that say the same
WORSE = 3.0  # times the loss of guessing
FIRST = by_training(
    "look at V0 and V1 first; then skipwise find-rate DATA",
    module="look at V0 and V1 first; then try rates around the present one",
)
GUARD = by_training(
    "or --set strategy.guard=Guard, which skips steps that explode",
    module="or nn.utils.clip_grad_norm_(model.parameters(), 1), which shortens steps that explode",
)

_verdict = partial(
    Verdict,
    rule="V4",
    name="rate above the edge of stability",
    reference="1: the curvature that the optimiser meets is as large as its rate can bear",
    band="below 1.2; at 0.8 to 1.2 is where training usually settles",
    source="Cohen et al. (2021, 2022); Andreyev and Beneventano (2024); asking for a second"
    " witness is ours",
)


@dataclass(frozen=True, kw_only=True)
class _Witnesses:
    """What else speaks of a rate that is too high: sentences, and whether anything could."""

    found: tuple[str, ...]
    asked: bool
    broke: bool


def stability(
    *,
    spectrum: Measurement | None = None,
    sharpness: Measurement | None = None,
    rehearsal: Rehearsal | None = None,
    history: History | None = None,
    guessing: float = math.nan,
    full_batch: bool = False,
    preconditioned: bool = False,
) -> Verdict:
    """Judge the curvature against the optimiser's limit, and the rate by what steps do.

    Training settles at a ratio of 1, so that alone accuses nobody: FAIL asks for a ratio above 1
    and a second witness: a loss that rises over the rehearsal, or over the last 100 steps of the
    history; α > 1 in each of the last three measured steps, beyond where it began on the opposite
    wall; steps that raised the loss of their own batch where the parabola promised less; a loss of
    over three times that of guessing; a loss or weight that is not finite any more. Without a known
    limit, steps that break accuse only if their loss rose before.

    Args:
        spectrum: ``analysis.hessian_spectrum`` with the optimiser.
        sharpness: ``analysis.batch_sharpness`` with the rate, which decides where a batch is less
            than all data: there the full curvature stays below.
        rehearsal: Of some real steps.
        history: Of the run so far.
        guessing: Loss of who knows only how common each class is; NaN where weights are untrained.
        full_batch: Whether a batch is all the data.
        preconditioned: Whether the optimiser scales each number by its own history, as Adam does;
            batch sharpness then says nothing.
    """
    ratios = _ratios(spectrum, None if preconditioned else sharpness)
    order = ("curvature / limit", "batch sharpness / limit")
    known = [ratios[key] for key in (order if full_batch else reversed(order)) if key in ratios]
    ratio = known[0] if known else math.nan
    witnesses = _witnesses(rehearsal, history, guessing)
    numbers = ratios | _of_steps(rehearsal)
    if not witnesses.found:
        return _silent(ratio, witnesses, numbers)
    heard = "; ".join(witnesses.found)
    if ratio > 1 or (math.isnan(ratio) and _certain(witnesses)):
        place = f"{short(ratio)} times" if ratio > 1 else "an unknown multiple of"
        return _verdict(
            level=Level.FAIL,
            says=f"The curvature is {place} what the rate can bear, and {heard}.",
            numbers=numbers,
            remedy=_cure(None if _is_far(rehearsal, guessing) else rehearsal, ratio),
            confidence="two witnesses agree",
        )
    return _doubtful(ratio, heard, numbers)


def _doubtful(ratio: float, heard: str, numbers: dict[str, float]) -> Verdict:
    other = (
        "the curvature was not held against a limit"
        if math.isnan(ratio)
        else f"{_below(ratio)}, so the present rate is not the cause"
    )
    return _verdict(
        level=Level.WARN,
        says=f"Training does not go well: {heard}; but {other}.",
        numbers=numbers,
        remedy=FIRST,
        confidence="one witness",
    )


def _below(ratio: float) -> str:
    if ratio < 0:
        return "the loss curves downwards along the gradient, which limits no rate"
    return f"the curvature is {short(ratio)} of what the rate can bear"


def _silent(ratio: float, witnesses: _Witnesses, numbers: dict[str, float]) -> Verdict:
    if math.isnan(ratio):
        return _verdict(
            level=Level.UNKNOWN,
            says="The curvature was not held against a limit of the optimiser, which is known for"
            " SGD, for Adam and AdamW once they took a step, and for a Rule in plain numbers.",
            numbers=numbers,
        )
    if ratio < EDGE:
        says = f"{_below(ratio)[0].upper()}{_below(ratio)[1:]}."
        return _verdict(level=Level.PASS, says=says, numbers=numbers)
    if ratio <= BEYOND:
        return _verdict(
            level=Level.INFO,
            says=f"Training is at the edge of stability ({short(ratio)} of the limit), where it"
            " usually settles; nothing else speaks against the rate.",
            numbers=numbers,
        )
    if witnesses.asked:
        return _verdict(
            level=Level.INFO,
            says=f"The curvature is {short(ratio)} times what the rate can bear on a parabola, but"
            " the steps lower the loss all the same, as they do early and with BatchNorm.",
            numbers=numbers,
            confidence="the curvature of few batches is larger than that of all",
        )
    return _verdict(
        level=Level.UNKNOWN,
        says=f"The curvature is {short(ratio)} times what the rate can bear; whether that does harm"
        " only steps can tell, and none was seen.",
        numbers=numbers,
        remedy=for_all("give the optimiser, so that steps can be rehearsed, or the run's history"),
    )


def _ratios(spectrum: Measurement | None, sharpness: Measurement | None) -> dict[str, float]:
    found = {}
    figures = {} if spectrum is None else spectrum.figures
    if "seen / limit" in figures:
        found["curvature / limit"] = figures["seen / limit"]
    if sharpness is not None:
        limit = figures.get("limit of stability", sharpness.figures.get("2 / rate", math.nan))
        plain = sharpness.figures["batch sharpness"] / limit
        # Measured with the optimiser it is what that sees, against its own limit.
        found["batch sharpness / limit"] = sharpness.figures.get("seen / limit", plain)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _of_steps(rehearsal: Rehearsal | None) -> dict[str, float]:
    if rehearsal is None or not rehearsal.losses:
        return {}
    numbers = {
        "first loss": rehearsal.losses[0],
        "last loss": rehearsal.losses[-1],
        "rate": rehearsal.rate,
    }
    if rehearsal.alphas:
        numbers["alpha, median"] = median(rehearsal.alphas)
    return numbers


def _witnesses(rehearsal: Rehearsal | None, history: History | None, guessing: float) -> _Witnesses:
    found: list[str] = []
    recent = () if history is None else history.taken_losses[-WINDOW:]
    if rehearsal is not None:
        steps = len(rehearsal.losses)
        if _is_far(rehearsal, guessing):
            loss = short(rehearsal.losses[0])
            found.append(f"the loss is {loss}, where guessing would have {short(guessing)}")
        if rises(rehearsal.losses):
            found.append(f"the loss rises over {steps} steps that were tried")
        if _all(rehearsal.alphas, lambda alpha: alpha > 1):
            found.append("steps land up the opposite wall, higher than they began")
        pairs = list(zip(rehearsal.given, rehearsal.promised, strict=True))
        if _all(pairs, lambda pair: pair[0] < 0 < pair[1]):
            found.append("steps raise the loss where their parabola promised to lower it")
        if rehearsal.broke:
            found.append(f"{rehearsal.broke} is not finite after {steps} steps that were tried")
    if rises(recent):
        found.append(f"the loss rose over the last {len(recent)} steps of the run")
    if recent and not math.isfinite(recent[-1]):
        found.append("the run's loss is not finite any more")
    broke = (rehearsal is not None and bool(rehearsal.broke)) or (
        bool(recent) and not math.isfinite(recent[-1])
    )
    tried = 0 if rehearsal is None else len(rehearsal.losses)
    asked = bool(found) or max(len(recent), tried) >= FEWEST
    return _Witnesses(found=tuple(found), asked=asked, broke=broke)


def _is_far(rehearsal: Rehearsal | None, guessing: float) -> bool:
    """Whether the loss is so high that the curvature here says nothing of that of a training."""
    losses = () if rehearsal is None else rehearsal.losses
    return bool(losses) and losses[0] > WORSE * guessing


def _all(values: Sequence, says) -> bool:
    return len(values) >= SUSTAINED and all(map(says, values[-SUSTAINED:]))


def _certain(witnesses: _Witnesses) -> bool:
    """Whether steps alone convict: they broke, and the loss had risen before."""
    return witnesses.broke and len(witnesses.found) > 1


def _cure(rehearsal: Rehearsal | None, ratio: float) -> Cure:
    half = "" if rehearsal is None or not ratio > 1 else short(0.5 * rehearsal.rate / ratio)
    known = for_all(f"{half} would be half of what the curvature bears" if half else "")
    return joined((LOWER, known, WARMER, GUARD))
