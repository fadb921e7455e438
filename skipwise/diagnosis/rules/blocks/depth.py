"""V1: does the gradient, or the signal, explode or vanish with the depth?"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from skipwise.analysis import Measurement, Theory, short
from skipwise.diagnosis.cure import Cure
from skipwise.diagnosis.rules.blocks import cures
from skipwise.diagnosis.rules.blocks.growth import Growth, growth, ratio, stages
from skipwise.diagnosis.verdict import Level, Verdict

MOST, LEAST = 70.0, 1e-3
WORST_FIRST = (Level.FAIL, Level.WARN, Level.INFO, Level.PASS)


def depth(
    *,
    signal: Measurement | None = None,
    trained: bool | None = None,
    normed: bool = False,
) -> Verdict:
    """Judge how the gradient at the blocks, and the root of the second moment, change with depth.

    Both are followed through the stages of one shape: r is the gradient's norm at the first block
    over that at the last, or the signal's at the last over the first, the stages multiplied. FAIL
    asks for three things at once:

    1. r > 70 or r < 1e-3;
    2. a factor a block fits better than a power of the depth: a network with BatchNorm and skips
       grows by a power, and trains;
    3. no theory excuses it: there is none that holds (none does once the network is trained), or
       r lies outside its band of ±2 standard deviations, or the theory itself expects a constant
       factor that passes these limits over all blocks. The last is the fault of the design, which
       a measurement within the band confirms: plain with BatchNorm (1.21 a layer), unscaled
       branches without a norm (√2 a block), weights larger than He's.

    WARN: outside the band only, or outside the limits by no law. INFO: larger than 70, but as a
    power of the depth, as residual networks of a hundred layers with BatchNorm are; or branches
    that start at zero, which hide what the depth will do.

    Args:
        signal: The measurement of that name.
        trained: Whether the weights have been trained; None if that is not known.
        normed: Whether every block holds a norm of some kind, so that none need be advised.
    """
    if signal is None:
        return _verdict(Level.UNKNOWN, "Signal and gradient were not measured block by block.")
    norms, moments = signal["gradient norm"], signal["second moment"]
    if not all(math.isfinite(value) for value in (*norms, *moments)):
        return _verdict(Level.UNKNOWN, "Some norms are not finite, which V0 is about.")
    rows = stages(signal)
    if not rows:
        says = "No two blocks have one shape, so no growth with depth can be told."
        return _verdict(Level.UNKNOWN, says)
    if _silent(signal, rows):
        return _verdict(
            Level.INFO,
            "Every block passes its input on unchanged: the branches start at zero by design"
            " (ReZero, SkipInit, zero γ, Fixup).",
            confidence="says nothing of later; measure again after some ten steps",
        )
    blocked = _blocked(signal, rows)
    if blocked is not None:
        return blocked
    return _judged(signal, list(_courses(signal, rows, trained=trained)), normed=normed)


@final
@dataclass(frozen=True, kw_only=True)
class Course:
    """How one quantity fared.

    Args:
        what: ``gradient`` or ``signal``.
        way: Where it goes, in words.
        growth: Along the way that it takes.
        theory: The one that holds, if there is one.
        inside: Whether it ends within the band of that theory; None without one.
        expected: r of the theory's own factor, over all blocks.
        by_factor: Whether the theory expects a factor a block.
    """

    what: str
    way: str
    growth: Growth
    theory: Theory | None = None
    inside: bool | None = None
    expected: float = math.nan
    by_factor: bool = False

    @property
    def ratio(self) -> float:
        """r: how many times as large it is at the end of its way."""
        return ratio(self.growth.total)

    @property
    def level(self) -> Level:
        """What it comes to."""
        beyond = _beyond(self.ratio)
        by_design = self.by_factor and _beyond(self.expected)
        excused = bool(self.inside) and not by_design
        if beyond and self.growth.exponential and not excused:
            return Level.FAIL
        if self.inside is False:
            return Level.WARN
        if not beyond or excused:
            return Level.PASS
        return Level.INFO if self.growth.by_power and self.ratio > MOST else Level.WARN

    def words(self) -> str:
        """Say it."""
        verb = "grows" if self.growth.total > 0 else "shrinks"
        law = (
            f"by {short(math.exp(self.growth.rate))} a block"
            if self.growth.exponential
            else "by a power of the depth"
            if self.growth.by_power
            else "by no steady law"
        )
        return (
            f"the {self.what} {verb} {law} {self.way}, to {short(self.ratio)} times its size over"
            f" {self.growth.blocks} blocks"
        )


def _beyond(value: float) -> bool:
    return value > MOST or value < LEAST


def _courses(
    signal: Measurement, rows: Sequence[range], *, trained: bool | None
) -> Iterator[Course]:
    for what, column, way, power, back in (
        ("gradient", "gradient norm", "from the last block to the first", 1.0, True),
        ("signal", "second moment", "from the first block to the last", 0.5, False),
    ):
        values = [value**power for value in signal[column]]
        if (
            min(values[row] for stage in rows for row in stage) <= 0
        ):  # a signal of zeros; where the gradient is zero was judged before
            continue
        found = _along(growth(values, rows), back=back)
        theory = None if trained else _theory(signal, column, rows)
        if theory is None:
            yield Course(what=what, way=way, growth=found)
            continue
        spans = _spans(theory, rows)
        curve = [value**power if value > 0 else 1.0 for value in theory.values]
        own = _along(growth(curve, spans), back=back)
        yield Course(
            what=what,
            way=way,
            growth=found,
            theory=theory,
            inside=_inside(signal, theory, [span[0] if back else span[-1] for span in spans]),
            expected=ratio(own.total / own.blocks * found.blocks),
            by_factor=own.exponential,
        )


def _spans(theory: Theory, rows: Sequence[range]) -> list[range]:
    """Give the rows within each stage of which a theory speaks, where these are two or more."""
    known = [[row for row in stage if math.isfinite(theory.values[row])] for stage in rows]
    return [range(span[0], span[-1] + 1) for span in known if len(span) > 1]


def _inside(signal: Measurement, theory: Theory, ends: Sequence[int]) -> bool:
    """Whether the ends of the stages, multiplied, lie within the band of theory.

    The bands of independent stages add up as their squares do; one stage has its own.
    """
    off, squares = 0.0, 0.0
    for row in ends:
        low, high = theory.low[row], theory.high[row]
        if not 0 < low <= high < math.inf:
            return False
        off += math.log(signal[theory.column][row]) - (math.log(low) + math.log(high)) / 2
        squares += (math.log(high / low) / 2) ** 2
    return abs(off) <= math.sqrt(squares) + 1e-9


def _along(found: Growth, *, back: bool) -> Growth:
    """Turn a growth along the depth into one along the way that a quantity takes."""
    sign = -1 if back else 1
    return Growth(
        blocks=found.blocks,
        total=sign * found.total,
        rate=sign * found.rate,
        exponential=found.exponential,
        by_power=found.by_power,
    )


def _theory(signal: Measurement, column: str, rows: Sequence[range]) -> Theory | None:
    """Give the theory of a column that holds and has a band over at least two blocks of a stage."""
    for theory in signal.theories:
        if theory.column == column and theory.holds and theory.low and _spans(theory, rows):
            return theory
    return None


def _silent(signal: Measurement, rows: Sequence[range]) -> bool:
    """Whether skips carry on what they get and nothing is written, so that all moments are one.

    A norm after the sum gives all one moment too, but does not keep how alike examples are.
    """
    skips = any(theory.name.startswith("residual") for theory in signal.theories)
    skips = skips or any(name.startswith("distance to residual") for name in signal.figures)
    columns = [signal["second moment"]]
    if all(map(math.isfinite, signal["correlation"])):
        columns.append(signal["correlation"])
    return skips and all(
        math.isclose(column[row], column[stage[0]], rel_tol=1e-6, abs_tol=1e-9)
        for column in columns
        for stage in rows
        for row in stage
    )


def _blocked(signal: Measurement, rows: Sequence[range]) -> Verdict | None:
    """Judge a gradient that is exactly zero somewhere; None where it is nowhere."""
    norms = signal["gradient norm"]
    zeros = [row for stage in rows for row in stage if norms[row] == 0]
    if not zeros:
        return None
    last = rows[-1][-1]
    if norms[last] == 0:
        says = "No gradient leaves the head, so its way through the blocks cannot be seen."
        return _verdict(
            Level.UNKNOWN,
            says,
            where=(signal.rows[last],),
            confidence="a head that starts at zero does this; measure again after some ten steps",
        )
    at = max(zeros)
    faded = norms[at + 1] < LEAST * norms[last]
    gone = signal.rows[at]
    says = f"No gradient at all arrives at {gone} and before it" + (
        ": it has faded until the floats hold no smaller number."
        if faded
        else ", though one arrives right behind it: dead units or a detach() stop it."
    )
    return _verdict(
        Level.FAIL if faded else Level.WARN,
        says,
        numbers={"gradient behind it over that at the last": norms[at + 1] / norms[last]},
        where=(gone,),
        remedy=cures.vanishing(signal),
    )


def _judged(signal: Measurement, courses: Sequence[Course], *, normed: bool) -> Verdict:
    if not courses:
        says = "Neither the gradient nor the signal is above zero at every block."
        return _verdict(Level.UNKNOWN, says)
    ranked = sorted(courses, key=lambda c: WORST_FIRST.index(c.level))
    worst = ranked[0]
    guilty = [course for course in courses if course.level is worst.level]
    numbers = {}
    for course in courses:
        numbers[f"{course.what} r"] = course.ratio
        numbers[f"{course.what} factor a block"] = math.exp(course.growth.rate)
        if course.theory is not None:
            numbers[f"{course.what} r by theory"] = course.expected
    says = "; ".join(course.words() for course in guilty)
    remedy = None
    if worst.level is Level.INFO:
        remedy = cures.WARM_UP
    elif worst.level is not Level.PASS:
        grows = worst.growth.total > 0
        remedy = cures.exploding(signal, normed=normed) if grows else cures.vanishing(signal)
    return _verdict(
        worst.level,
        f"{says[0].upper()}{says[1:]}{_why(worst)}.",
        numbers={**numbers, "blocks": worst.growth.blocks},
        reference="; ".join(
            f"{c.what}: {c.theory.name}, {c.theory.formula}" for c in courses if c.theory
        ),
        where=_steepest(signal, worst) if worst.level in WORST_FIRST[:2] else (),
        remedy=remedy,
        confidence="theory held against it"
        if worst.theory
        else "no theory holds here, so limits and law alone decide",
    )


def _why(course: Course) -> str:
    """Add what theory says of it."""
    if course.theory is None:
        return ""
    if course.level is Level.FAIL and course.inside:
        return f", as theory expects of this design ({course.theory.name})"
    if course.inside is False:
        return f", outside the band of theory ({course.theory.name})"
    return f", as theory expects ({course.theory.name})" if _beyond(course.ratio) else ""


def _steepest(signal: Measurement, course: Course) -> tuple[str, ...]:
    """Name the three blocks over which the quantity changes most the wrong way."""
    column = "gradient norm" if course.what == "gradient" else "second moment"
    sign = (1 if course.growth.total > 0 else -1) * (-1 if course.what == "gradient" else 1)
    values = signal[column]
    steps = [
        (sign * math.log(values[row + 1] / values[row]), signal.rows[row])
        for stage in stages(signal)
        for row in stage[:-1]
    ]
    return tuple(name for _, name in sorted(steps, reverse=True)[:3])


def _verdict(
    level: Level,
    says: str,
    *,
    numbers: dict[str, float] | None = None,
    reference: str = "",
    where: tuple[str, ...] = (),
    remedy: Cure | None = None,
    confidence: str = "",
) -> Verdict:
    return Verdict(
        rule="V1",
        name="gradient or signal explodes or vanishes with depth",
        level=level,
        says=says,
        source="limits of AutoTrainer (Zhang et al., 2021); theory: see the measurement",
        numbers=numbers or {},
        reference=reference,
        band=f"r from {short(LEAST)} to {short(MOST)}, or no constant factor a block",
        where=where,
        remedy=remedy,
        confidence=confidence,
    )
