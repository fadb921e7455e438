"""V7: is the depth used?"""

import math
from collections.abc import Sequence

from skipwise.analysis import Measurement, short
from skipwise.analysis.depth.meanfield import scales
from skipwise.analysis.depth.paths import design_depths
from skipwise.diagnosis.cure import Cure, by_network
from skipwise.diagnosis.verdict import Level, Verdict

APART = 2.0  # from the design's depth, as a factor, before it is worth a line
SHALLOWER = by_network(
    "take fewer blocks (--set network.blocks=[3,3,3]), or let the branches count for more:"
    " --set network.connection.scale=1 in place of a smaller scale, --set network.zero_last=false,"
    " or a norm before every branch (--set network.branch=PreActivation)",
    module="take fewer blocks, or let the branches count for more: a scale of 1 in place of a"
    " smaller one, last layers that do not start at zero, or a norm before every branch",
)


def unused_depth(
    *,
    effective: float | None = None,
    blocks: int | None = None,
    design: str | None = None,
    probes: Measurement | None = None,
    ignored: int | None = None,
    trained: bool | None = None,
) -> Verdict:
    """Judge how many of its blocks a network uses.

    The effective depth k is the mean number of branches that the gradient passes. At the start it
    is compared with that of the design, not judged: with BatchNorm it grows as the logarithm of the
    depth. After training WARN if k < 1 and more than half of the blocks are ignored (V6); what else
    is remarkable, a depth far from the design's or probes that gain nothing over the last third, is
    INFO.

    Args:
        effective: k, by :func:`skipwise.analysis.effective_depth` or as the path spectrum has it.
        blocks: n, how many blocks there are.
        design: Which :func:`skipwise.analysis.nearest_design` named, of the measured signal.
        probes: The measurement ``linear_probes``.
        ignored: How many blocks V6 found ignored.
        trained: Whether the weights have been trained; None if that is not known.
    """
    if effective is None or blocks is None or math.isnan(effective):
        return _verdict(
            Level.UNKNOWN,
            "The number of branches that the gradient passes was not measured"
            " (or no gradient arrives).",
        )
    expected = _expected(design, blocks)
    numbers = {"effective depth": effective, "blocks": float(blocks)}
    if not math.isnan(expected):
        numbers["effective depth of the design"] = expected
    says = f"The gradient passes {short(effective)} of {blocks} branches on average"
    idle = ignored is not None and 2 * ignored > blocks
    if trained and effective < 1 and idle:
        says += f", and {ignored} blocks are ignored: most of the depth is not used."
        return _verdict(Level.WARN, says, numbers=numbers, remedy=SHALLOWER)
    remarks = list(_remarks(effective, expected, design, trained=trained))
    if flat := _flat(probes):
        remarks.append(flat)
    if not remarks:
        if math.isnan(expected) and not trained:
            says += "; it is like no design whose number is known, and nothing need be done"
            return _verdict(Level.INFO, f"{says}.", numbers=numbers)
        says += "" if math.isnan(expected) else f" (its design: {short(expected)})"
        return _verdict(Level.PASS, f"{says}.", numbers=numbers)
    return _verdict(Level.INFO, f"{says}; {'; '.join(remarks)}.", numbers=numbers)


def _remarks(
    effective: float, expected: float, design: str | None, *, trained: bool | None
) -> Sequence[str]:
    """Say what is unusual about the effective depth."""
    if trained:
        return ["that is less than one block"] if effective < 1 else []
    if math.isnan(expected):
        return []
    close = expected / APART <= effective <= expected * APART or abs(effective - expected) < 0.1
    if close:
        return []
    start = (
        "so it starts like a shallower network, which does no harm"
        if effective < expected
        else "so it starts nearer to one without skips; V1 says if depth harms its gradients"
    )
    way = "fewer" if effective < expected else "more"
    return [
        f"{way} than the {short(expected)} of the design that it is most like ({design}), {start}"
    ]


def _expected(design: str | None, blocks: int) -> float:
    """Give the effective depth of a design at its start; NaN where none is named.

    ``Σ a_l/(1 + a_l)`` over the branch gains of the design; all blocks of a plain one.
    """
    if design is None or design == "none":
        return math.nan
    if design.startswith("plain"):
        return float(blocks)
    name = design.removeprefix("residual, ")
    if name == "BatchNorm":
        return design_depths(blocks)[name]
    return sum(gain / (1 + gain) for gain in scales(name, blocks))


def _flat(probes: Measurement | None) -> str:
    """Say so if the classes are read no better behind the last third of the blocks than before it.

    Better is more than the two standard errors of the difference.
    """
    if probes is None or len(probes.rows) < 6:
        return ""
    before = len(probes.rows) - len(probes.rows) // 3 - 1
    accuracy, error = probes["accuracy"], probes["standard error"]
    gained = max(accuracy[before + 1 :]) - accuracy[before]
    if gained > 2 * math.hypot(error[before], error[-1]):
        return ""
    return (
        f"a linear probe reads the classes behind {probes.rows[before]} as well as behind any later"
        f" block ({short(accuracy[before])})"
    )


def _verdict(
    level: Level,
    says: str,
    *,
    numbers: dict[str, float] | None = None,
    remedy: Cure | None = None,
) -> Verdict:
    return Verdict(
        rule="V7",
        name="depth unused",
        level=level,
        says=says,
        source="own, from the path spectrum (Veit et al., 2016) and probes (Alain, Bengio, 2016)",
        numbers=numbers or {},
        reference="k = Σ a_l/(1 + a_l) at the start: n/2 unscaled, n/(n + 1) at 1/√L, about"
        " 1.47·log n with BatchNorm, 0 from zero",
        band=f"within a factor {short(APART)} of the design at the start; at least 1 once trained",
        remedy=remedy,
        confidence="a low number is no fault: designs with BatchNorm are shallow at the start",
    )
