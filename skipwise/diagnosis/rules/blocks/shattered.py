"""V8: do the gradients of different examples still have something in common?"""

import math
from functools import partial

from skipwise.analysis import Measurement, short
from skipwise.diagnosis.rules.blocks.cures import SKIP
from skipwise.diagnosis.verdict import Level, Verdict

HALF = 0.5  # of what theory leaves
NOISE = 0.02  # a cosine below it is not told from zero
WHITE = 0.05  # below it gradients are nearly white noise, whatever theory says

_verdict = partial(
    Verdict,
    rule="V8",
    name="shattered gradients",
    source="Balduzzi et al. (2017); co-activation measured",
    reference="Π 2P(both active), with skips Π (1 + a·2P)/(1 + a)",
    band=f"at least {HALF:g} of the reference",
    confidence="of the pairs of one batch; BatchNorm must be in evaluation mode",
)


def shattered(*, shattering: Measurement | None = None) -> Verdict:
    """Judge how alike the gradients of two examples are at the first block, against theory.

    The reference is the product of measured co-activations, not the assumption that a quarter of
    the units is active for both. WARN below half of it. INFO where theory agrees but next to
    nothing is left, or where no theory holds.

    Args:
        shattering: The measurement of that name.

    Source: Balduzzi et al. (2017), "The shattered gradients problem".
    """
    if shattering is None:
        return _verdict(
            level=Level.UNKNOWN, says="The gradients of pairs of examples were not measured."
        )
    cosine = shattering["gradient cosine"][0]
    theory = next((t for t in shattering.theories if t.column == "gradient cosine"), None)
    expected = theory.values[0] if theory is not None and theory.holds else math.nan
    if math.isnan(cosine):
        return _verdict(level=Level.UNKNOWN, says="A batch of one example has no pairs.")
    numbers = {"gradient cosine at the first block": cosine}
    says = f"The gradients of two examples have a cosine of {short(cosine)} at the first block"
    if math.isnan(expected):
        low = cosine < WHITE
        meaning = (
            "next to 0, which is white noise: a step for one example does little for another"
            if low
            else "where 0 is white noise and 1 agreement: a step for one example still helps others"
        )
        return _verdict(
            level=Level.INFO,
            says=f"{says}, {meaning}. No theory says how much this network should have.",
            numbers=numbers,
            remedy=SKIP if low else None,
        )
    numbers["by measured co-activation"] = expected
    if expected >= NOISE and cosine < HALF * expected:
        says = f"{says}, less than half of the {short(expected)} that the ReLUs leave."
        where = _where(shattering)
        return _verdict(level=Level.WARN, says=says, numbers=numbers, where=where, remedy=SKIP)
    if cosine < WHITE:
        says = f"{says}, nearly white noise, as theory expects of this depth ({short(expected)})."
        return _verdict(level=Level.INFO, says=says, numbers=numbers, remedy=SKIP)
    says = f"{says}; the ReLUs leave {short(expected)}."
    return _verdict(level=Level.PASS, says=says, numbers=numbers)


def _where(shattering: Measurement) -> tuple[str, ...]:
    """Name the blocks that lose most beyond their factor, up to three."""
    cosines, factors = shattering["gradient cosine"], shattering["factor"]
    lost = [
        (cosines[row] / (cosines[row + 1] * factors[row]), shattering.rows[row])
        for row in range(len(cosines) - 1)
        if cosines[row + 1] * factors[row] > NOISE
    ]
    return tuple(name for left, name in sorted(lost)[:3] if left < 1)
