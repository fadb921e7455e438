"""V13: do the weights start as a design does that is known to train?"""

import math

from skipwise.analysis import Measurement, Theory, nearest_design, short
from skipwise.diagnosis.cure import Cure, for_all, joined
from skipwise.diagnosis.rules.blocks.cures import FROM_ZERO, HE, SCALED
from skipwise.diagnosis.verdict import Level, Verdict

CURE = joined((
    HE,
    joined((for_all("for branches without a norm"), SCALED), by=" "),
    joined((for_all("or"), FROM_ZERO), by=" "),
))


def initialisation(*, signal: Measurement | None = None, trained: bool | None = None) -> Verdict:
    """Judge whether second moments and gradients along the depth are those of a known design.

    The nearest of plain He, plain with BatchNorm, residual unscaled, 1/√L, 1/L, decreasing, from
    zero and with BatchNorm is named. WARN if all are further than a factor e (root mean square of
    the logarithms). INFO if one is named, but a curve of theory for these very weights is left, or
    none holds. What the weights started from cannot be read any more after training: UNKNOWN.

    Args:
        signal: The measurement of that name.
        trained: Whether the weights have been trained; None if that is not known.
    """
    if signal is None:
        return _verdict(Level.UNKNOWN, "Signal and gradient were not measured block by block.")
    if trained:
        return _verdict(
            Level.UNKNOWN,
            "Does not apply: the weights are trained, and what they started from was not kept.",
        )
    distances = {
        name.removeprefix("distance to "): value
        for name, value in signal.figures.items()
        if name.startswith("distance to ")
    }
    if not distances:
        says = "The blocks are of no kind, plain or with a skip, whose start has a theory."
        return _verdict(Level.UNKNOWN, says)
    if not all(map(math.isfinite, (*signal["second moment"], *signal["gradient norm"]))):
        says = "Some moments or norms are not finite, which V0 is about."
        return _verdict(Level.UNKNOWN, says)
    near = min(distances, key=lambda name: distances[name])
    design = nearest_design(signal)
    numbers = {f"distance to {near}": distances[near]}
    if design == "none":
        says = (
            f"Signal and gradient follow no known design: the nearest, {near}, is a factor"
            f" {short(math.exp(min(distances[near], 700)))} off."
        )
        return _verdict(Level.WARN, says, numbers=numbers, remedy=CURE)
    theories = [theory for theory in signal.theories if theory.holds and _speaks(signal, theory)]
    left = [theory for theory in theories if not _inside(signal, theory)]
    says = f"The network starts like a known design ({design})"
    if left:
        ways = " and ".join(f"its {t.column} is {_way(signal, t)}" for t in left)
        says = f"{says}; {ways} what theory expects of these weights, which alone is no fault."
        return _verdict(Level.INFO, says, numbers=numbers, theories=left)
    if not theories:
        says = f"{says}, judged by its curves alone: no theory holds for blocks of this kind."
        return _verdict(Level.INFO, says, numbers=numbers)
    return _verdict(Level.PASS, f"{says}, within the band of theory.", theories=theories)


def _way(signal: Measurement, theory: Theory) -> str:
    """Say on which side of its band the column lies where it is furthest from the curve."""
    pairs = zip(signal[theory.column], theory.values, strict=True)
    logs = [math.log(seen / value) for seen, value in pairs if seen > 0 and value > 0]
    return "above" if max(logs, key=abs, default=0.0) > 0 else "below"


def _speaks(signal: Measurement, theory: Theory) -> bool:
    """Whether there is a band, and where there is one a number that can lie in it."""
    pairs = list(zip(signal[theory.column], theory.low, strict=False))
    told = [value for value, low in pairs if not math.isnan(low)]
    return bool(told) and not any(map(math.isnan, told))


def _inside(signal: Measurement, theory: Theory) -> bool:
    """Whether the column stays in its band at all rows, up to rounding."""
    return all(
        math.isnan(value) or low * (1 - 1e-9) <= value_here <= high * (1 + 1e-9)
        for value, low, high, value_here in zip(
            theory.values, theory.low, theory.high, signal[theory.column], strict=True
        )
    )


def _verdict(
    level: Level,
    says: str,
    *,
    numbers: dict[str, float] | None = None,
    theories: list[Theory] | None = None,
    remedy: Cure | None = None,
) -> Verdict:
    return Verdict(
        rule="V13",
        name="start of the weights",
        level=level,
        says=says,
        source="He et al. (2015b); De, Smith (2020); Marion et al. (2025); own distance",
        numbers=numbers or {},
        reference="; ".join(f"{t.name}: {t.formula}" for t in theories or []),
        band="root mean square of log(measured/design) at most 1",
        remedy=remedy,
        confidence="of one draw of the weights, on the longest row of blocks of one shape",
    )
