"""V5: units that never fire."""

import math
from collections.abc import Collection, Mapping
from functools import partial

from skipwise.analysis import Measurement, short
from skipwise.diagnosis.cure import by_training
from skipwise.diagnosis.verdict import Level, Verdict

WARN_SHARE, FAIL_SHARE = 0.2, 0.5
EXAMPLES = 1000  # for the certificate of a unit: fires for less than 0.3 % of all
WHOLE_LAYER = 100  # for that of a whole layer: less than 3 % of all get anything through

BORN = (
    "or a longer warm-up, begun anew, for units that die in training; a norm before the activation"
    " and He's initialisation with biases at zero, for units that were born dead"
)
REVIVE = by_training(f"a lower strategy.peak_lr {BORN}", module=f"a lower rate {BORN}")

_verdict = partial(
    Verdict,
    rule="V5",
    name="dead units",
    reference="a unit that is silent on N independent examples fires for less than 3/N of all",
    band="at most 20 % of a layer",
    source="Hanley and Lippman-Hand (1983); 40 % at too high a rate: Karpathy, Johnson, Li (2015),"
    " CS231n; the shares are ours",
)


def dead_units(
    *,
    units: Measurement | None = None,
    zero_gamma: Collection[str] = (),
    after_sum: Collection[str] = (),
) -> Verdict:
    """Judge the share of dead units in each layer that rectifies.

    A unit is dead if it gave exactly zero at every position of every example, where its gradient
    is zero too; examples count, not positions, because positions of one picture are not
    independent. Above 20 % of a layer WARN, above 50 % FAIL, on 1000 examples or more; a whole
    layer is dead on 100 or more. The share can only fall with more examples, so few are enough to
    pass. Layers whose norm has γ = 0 are silent by design. After a sum a unit's gradient reaches
    the block's input by no other way, but what it holds was decided before: part of it is told, and
    only all of it accuses.

    Args:
        units: ``analysis.units``.
        zero_gamma: Names of activations (rows of it) after a norm whose scale is zero.
        after_sum: Names of those after a skip connection's sum.
    """
    if units is None:
        return _verdict(
            level=Level.UNKNOWN,
            says="Units were not counted; the model computes no activation that is known, or no"
            " batch was given.",
        )
    examples = int(units.figures["examples"])
    shares = {n: s for n, s in zip(units.rows, units["dead"], strict=True) if not math.isnan(s)}
    if not shares:
        return _verdict(
            level=Level.PASS,
            says="Does not apply: no activation of this network is cut off at 0.",
        )
    designed = [name for name, share in shares.items() if share == 1 and name in zero_gamma]
    judged = {name: share for name, share in shares.items() if name not in designed}
    return _judged(judged, designed, set(after_sum), examples, _numbers(units, judged))


def _judged(
    shares: Mapping[str, float],
    designed: list[str],
    after_sum: set[str],
    examples: int,
    numbers: dict[str, float],
) -> Verdict:
    order = sorted(shares, key=lambda name: -shares[name])
    whole = [name for name in order if shares[name] == 1]
    many = [n for n in order if shares[n] > FAIL_SHARE and n not in after_sum]
    some = [n for n in order if shares[n] > WARN_SHARE and n not in after_sum]
    summed = [n for n in order if shares[n] > WARN_SHARE and n in after_sum]
    enough = examples >= EXAMPLES
    at = f"on {examples} examples"
    if whole and examples >= WHOLE_LAYER:
        says = f"Every unit of {_named(whole)} is silent {at}: nothing passes, forward or back."
        return _bad(Level.FAIL, says, whole, numbers)
    if many and enough:
        says = f"{shares[many[0]]:.0%} of the units of {_named(many)} are silent {at}."
        return _bad(Level.FAIL, says, many, numbers)
    if some and enough:
        says = f"{shares[some[0]]:.0%} of the units of {_named(some)} are silent {at}."
        return _bad(Level.WARN, says, some, numbers)
    if some or whole:
        return _verdict(
            level=Level.UNKNOWN,
            says=f"Up to {shares[order[0]]:.0%} of a layer's units are silent {at}, too few to call"
            f" them dead; give {EXAMPLES}.",
            numbers=numbers,
            where=tuple(some or whole),
        )
    told = summed or designed
    if told:
        why = "after a sum, where the skip decides" if summed else "by design, their γ is zero"
        return _verdict(
            level=Level.INFO,
            says=f"Units of {_named(told)} are silent {at}, {why}.",
            numbers=numbers,
            where=tuple(told),
        )
    most = max(shares.values(), default=0.0)
    return _verdict(
        level=Level.PASS, says=f"At most {most:.0%} of a layer are silent {at}.", numbers=numbers
    )


def _bad(level: Level, says: str, where: list[str], numbers: dict[str, float]) -> Verdict:
    return _verdict(
        level=level,
        says=says,
        numbers=numbers,
        where=tuple(where),
        remedy=REVIVE,
        confidence="units that fire for one rare class only look dead on examples without it",
    )


def _numbers(units: Measurement, shares: Mapping[str, float]) -> dict[str, float]:
    return {
        "most of a layer": max(shares.values(), default=math.nan),
        "dead": units.figures["dead"],
        "of units": units.figures["of units"],
        "examples": units.figures["examples"],
        "a dead unit fires at most": units.figures["a dead unit fires at most"],
    }


def _named(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {short(len(names) - 1)} more"
