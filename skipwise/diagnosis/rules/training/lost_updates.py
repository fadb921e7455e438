"""V2: updates that are too small for the numbers that the weights are held in."""

from functools import partial
from types import MappingProxyType

from skipwise.analysis import short
from skipwise.diagnosis.cure import by_training
from skipwise.diagnosis.rehearsal import Moved, Rehearsal
from skipwise.diagnosis.rules.training.cures import HIGHER
from skipwise.diagnosis.verdict import Level, Verdict

# Half the distance from 1 to the next number: a smaller change of a weight rounds to none.
RESOLUTION = MappingProxyType({
    "float64": 2.0**-53,
    "float32": 2.0**-24,
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
})
SMALLEST_HALF = 2.0**-24  # the smallest number above zero in float16
AT_REST = 1e-3  # of the peak of the rate: a schedule's beginning or end

RANGE = by_training(
    "scale the loss (torch.amp.GradScaler), or compute in bfloat16, whose range is that of float32:"
    " --set precision=bfloat16",
    module="scale the loss (torch.amp.GradScaler), or compute in bfloat16, whose range is that of"
    " float32: torch.autocast(device, torch.bfloat16)",
)
PRECISION = by_training(
    "keep the weights in float32 and compute in bfloat16 by autocast, as --set precision=bfloat16"
    " does",
    module="keep the weights in float32 and compute in bfloat16 by autocast:"
    " torch.autocast(device, torch.bfloat16)",
)

_verdict = partial(
    Verdict,
    rule="V2",
    name="updates lost to rounding",
    reference="half a unit in the last place: 2⁻²⁴ in float32, 2⁻¹¹ in float16, 2⁻⁸ in bfloat16",
    source="Goldberg (1991), What every computer scientist should know about floating point",
)


def lost_updates(*, rehearsal: Rehearsal | None = None, peak_rate: float | None = None) -> Verdict:
    """Judge whether the weights' numbers can hold the updates.

    An update is lost where ``‖Δθ‖/‖θ‖ < ε/2`` of the weight's type, and a gradient where its root
    mean square in float16 is below the smallest number there is, 2⁻²⁴. Accused are tensors of two
    axes or more that have a gradient; biases before a norm have none but rounding, and are told
    only. Weights that the optimiser keeps in a higher precision lose nothing.

    Args:
        rehearsal: Of some real steps.
        peak_rate: The largest rate of the run; well below it updates are meant to be tiny.
    """
    moved = {} if rehearsal is None else rehearsal.moved
    judged = {n: m for n, m in moved.items() if m.dtype in RESOLUTION and m.ratios}
    if rehearsal is None or not judged:
        return _verdict(level=Level.UNKNOWN, says=_why(rehearsal))
    if rehearsal.rate <= 0 or (peak_rate and rehearsal.rate < AT_REST * peak_rate):
        return _verdict(
            level=Level.INFO,
            says=f"The rate is {short(rehearsal.rate)} at this point of its schedule, so updates"
            " are meant to be tiny and were not judged.",
            numbers={"rate": rehearsal.rate},
        )
    weights = {n: m for n, m in judged.items() if m.dimensions > 1}
    vanished = [n for n, m in weights.items() if _underflows(m, weights)]
    lost = sorted((n for n in weights if _lost(weights[n])), key=lambda n: _margin(weights[n]))
    small = [n for n, m in judged.items() if m.dimensions < 2 and _lost(m)]
    margins = [_margin(m) for m in judged.values() if _margin(m) == _margin(m)]
    numbers = {
        "update / resolution, smallest": min(margins, default=float("nan")),
        "tensors that lose theirs": float(len(lost)),
        "of": float(len(judged)),
    }
    band = "update / weight at least the resolution"
    if vanished:
        return _vanished(vanished, numbers)
    if lost:
        return _accused(lost, weights, numbers, band)
    return _verdict(
        level=Level.INFO if small else Level.PASS,
        says=_fine(small, margins),
        numbers=numbers,
        band=band,
        where=tuple(small),
    )


def _vanished(where: list[str], numbers: dict[str, float]) -> Verdict:
    return _verdict(
        level=Level.FAIL,
        says=f"Gradients of {len(where)} weights are below 6e-8, the smallest number of float16, so"
        " they arrive as zero.",
        numbers=numbers,
        band="gradient above 6e-8 in float16",
        where=tuple(where),
        remedy=RANGE,
    )


def _accused(
    lost: list[str], weights: dict[str, Moved], numbers: dict[str, float], band: str
) -> Verdict:
    worst = weights[lost[0]]
    low = worst.dtype in ("bfloat16", "float16")
    return _verdict(
        level=Level.FAIL,
        says=f"A step changes {lost[0]} by {short(worst.ratio)} of its length, less than"
        f" {worst.dtype} can tell ({short(RESOLUTION[worst.dtype])}), so most of it is rounded"
        " away.",
        numbers=numbers | {"numbers that did not move": worst.unmoved},
        band=band,
        where=tuple(lost),
        remedy=PRECISION if low else HIGHER,
        confidence="sure of the steps that were taken; an optimiser that keeps its own copy of the"
        " weights outside its state would not be seen",
    )


def _margin(moved: Moved) -> float:
    """How many times the resolution the update is."""
    return moved.ratio / RESOLUTION[moved.dtype]


def _lost(moved: Moved) -> bool:
    return not moved.mastered and moved.gradient > 0 and _margin(moved) < 1


def _underflows(moved: Moved, weights: dict[str, Moved]) -> bool:
    """Below the smallest number; exactly zero accuses only where nothing else has a gradient."""
    if moved.dtype != "float16":
        return False
    nothing = all(m.gradient == 0 for m in weights.values() if m.dtype == "float16")
    return moved.gradient < SMALLEST_HALF and (moved.gradient > 0 or nothing)


def _fine(small: list[str], margins: list[float]) -> str:
    if not margins:
        return "No weight had a gradient that could be lost."
    if small:
        return (
            f"The updates of {len(small)} biases or scales are lost to rounding, of no weight; a"
            " bias before a norm has no gradient but rounding."
        )
    return f"Every update is at least {short(min(margins))} times what its numbers can tell apart."


def _why(rehearsal: Rehearsal | None) -> str:
    if rehearsal is None:
        return "No step was rehearsed; give the optimiser that trains the model."
    if rehearsal.broke:
        return (
            f"The first steps ended with {rehearsal.broke} not finite, so no update was measured."
        )
    return "No weight is of a type whose resolution is known."
