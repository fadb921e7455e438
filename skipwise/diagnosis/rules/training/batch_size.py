"""V12: the batch against the noise of its gradient."""

import math
from functools import partial

from skipwise.analysis import Measurement, short
from skipwise.diagnosis.cure import Cure, by_training
from skipwise.diagnosis.verdict import Level, Verdict

LOW, HIGH = 0.1, 10.0
LEAP = 4  # times larger or smaller at once: the noise scale is known roughly, and rates must follow
FEWEST = 8  # examples, of which BatchNorm still has statistics

_verdict = partial(
    Verdict,
    rule="V12",
    name="batch too small or too large",
    band="batch size 0.1 to 10 times the noise scale",
    source="McCandlish et al. (2018), An empirical model of large-batch training, eq. 2.9",
)


def batch_size(*, noise: Measurement | None = None, size: int | None = None) -> Verdict:
    """Judge the size of a batch against the noise scale ``S/‖G‖²``; it only informs.

    Far below the noise scale, a batch twice as large saves nearly half of the steps; far above it,
    it saves none. The noise scale grows while the loss falls.

    Args:
        noise: ``analysis.gradient_noise``.
        size: Examples an update; that of the measured batches if None.
    """
    if noise is None:
        return _verdict(
            level=Level.UNKNOWN,
            says="The noise of the gradient was not measured; give four batches of one size.",
        )
    scale, error = noise.figures["noise scale"], noise.figures["standard error"]
    examples = noise.figures["examples in a batch"] if size is None else float(size)
    numbers = {"noise scale": scale, "standard error": error, "examples in a batch": examples}
    if not scale > 0 or error >= scale:
        return _verdict(
            level=Level.UNKNOWN,
            says="The gradient cannot be told from noise with these batches; more may tell.",
            numbers=numbers,
        )
    ratio = examples / scale
    numbers["batch / noise scale"] = ratio
    reference = f"noise scale {short(scale)}"
    if LOW <= ratio <= HIGH:
        return _verdict(
            level=Level.PASS,
            says=f"A batch of {short(examples)} is {short(ratio)} times the noise scale.",
            numbers=numbers,
            reference=reference,
        )
    small = ratio < LOW
    return _verdict(
        level=Level.INFO,
        says=_small(examples, ratio) if small else _large(examples, ratio),
        numbers=numbers,
        reference=reference,
        remedy=_cure(scale, examples, small=small),
        confidence=_confidence(scale, error, examples),
    )


def _small(examples: float, ratio: float) -> str:
    return (
        f"A batch of {short(examples)} is {short(ratio)} of the noise scale: its gradient is mostly"
        " noise, and larger batches would save steps, if the hardware computes them side by side."
    )


def _large(examples: float, ratio: float) -> str:
    return (
        f"A batch of {short(examples)} is {short(ratio)} times the noise scale: smaller batches"
        " would do as much in a step."
    )


def _cure(scale: float, examples: float, *, small: bool) -> Cure:
    wanted = min(scale, LEAP * examples) if small else max(scale, examples / LEAP, FEWEST)
    size = 2 ** round(math.log2(wanted))
    way = "up" if small else "down"
    return by_training(
        f"go {way} by steps, to --batch-size {size} first, the rate with it: --set"
        " strategy.rate_rule=linear",
        module=f"go {way} by steps, to a batch of {size} first, the rate with it in proportion",
    )


def _confidence(scale: float, error: float, examples: float) -> str:
    if math.isnan(error):
        return "the noise scale has no standard error; give more batches"
    inside = any(LOW <= examples / s <= HIGH for s in (scale - error, scale + error) if s > 0)
    if inside:
        return "within one standard error of the band; more batches would tell"
    return "beyond one standard error"
