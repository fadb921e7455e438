"""What a comparison says, in sentences that say no more than its numbers."""

import math
from collections.abc import Iterator

from skipwise.comparison.comparison import Comparison
from skipwise.comparison.family import extension
from skipwise.comparison.pairs import Pair
from skipwise.comparison.scores import ArmSummary
from skipwise.comparison.signs import EXACT_PAIRS, MOST_SEEDS, least_p
from skipwise.comparison.study import NO_TEST, Design

SKEWED = 0.2  # of the interval's width between estimate and mean: then both are said
USUAL = "accuracy"  # the score that needs no naming


def counted(count: int, noun: str) -> str:
    """Write a count with its noun.

    >>> counted(1, "seed"), counted(2, "seed")
    ('1 seed', '2 seeds')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def decimals(spread: float) -> int:
    """Give how many decimals a number deserves that is uncertain by so much: two digits of that.

    >>> [decimals(spread) for spread in (12.0, 0.63, 0.063)]
    [0, 2, 3]
    """
    if not math.isfinite(spread) or spread <= 0:
        return 2
    return min(max(1 - math.floor(math.log10(spread)), 0), 6)


def signed(value: float, places: int) -> str:
    """Write a number with a true minus sign; infinity as ∞.

    >>> signed(-0.25, 1), signed(float("-inf"), 1), signed(-0.001, 1)
    ('−0.2', '−∞', '0.0')
    """
    if math.isnan(value):
        return "not known"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    rounded = round(value, places) + 0.0
    return f"{rounded:.{places}f}".replace("-", "−")


def p_words(p: float) -> str:
    """Write a p-value.

    >>> p_words(0.0156), p_words(0.3), p_words(0.00001)
    ('0.016', '0.30', '< 0.0001')
    """
    if p < 0.0001:
        return "< 0.0001"
    return f"{p:.2f}" if p >= 0.1 else f"{p:.2g}"


class Unit:
    """How a study's scores are written: shares in per cent and points, others as they are."""

    def __init__(self, design: Design):
        self.factor = 100.0 if design.percent else 1.0
        self.difference = " points" if design.percent else ""
        self.level = " %" if design.percent else ""

    def apart(self, value: float, spread: float) -> str:
        """Write a difference, without its unit."""
        return signed(self.factor * value, decimals(self.factor * spread))

    def points(self, value: float, spread: float) -> str:
        """Write a difference with its unit."""
        text = self.apart(value, spread)
        one = self.difference and text in ("1", "−1")
        return text + (" point" if one else self.difference)

    def score(self, value: float, spread: float = math.nan) -> str:
        """Write a score."""
        if math.isnan(value):
            return "–"
        return signed(self.factor * value, decimals(self.factor * spread)) + self.level


def headline(comparison: Comparison) -> str:
    """Count the verdicts in one line."""
    found = [pair.verdict for pair in comparison.pairs]
    if not found:
        return "no comparison was declared, so there are intervals and no verdict"
    if "unfinished" in found:
        open_ = found.count("unfinished")
        return f"{counted(open_, 'comparison')} of {len(found)} not finished yet"
    decided = sum(verdict in ("better", "worse") for verdict in found)
    show = "shows" if 1 in (decided, len(found)) else "show"
    parts = [f"{decided} of {counted(len(found), 'comparison')} {show} a difference"]
    for verdict, words in (("equivalent", "equivalent"), ("inconclusive", "inconclusive")):
        if count := found.count(verdict):
            parts.append(f"{count} {'is' if count == 1 else 'are'} {words}")
    return ", ".join(parts)


def conclusion(comparison: Comparison) -> list[str]:
    """Say what the study found: each comparison of the family, failures, and what limits it."""
    sentences = [comparison.warning] if comparison.warning else []
    added = extension(comparison.design)
    sentences += [added] if added else []
    sentences += [sentence(comparison.design, pair) for pair in comparison.pairs]
    sentences += _failures(comparison)
    sentences += _limits(comparison)
    return sentences


def sentence(design: Design, pair: Pair) -> str:
    """Say what one comparison of the family found."""
    first, second, where = _names(design, pair)
    unit, spread = Unit(design), pair.high - pair.low
    if pair.verdict == "unfinished":
        done = f"{pair.pairs} of {counted(pair.pairs + pair.missing, 'pair')}"
        return f"{where}{first} against {second}: {done} done, so there is no verdict yet."
    evidence = _evidence(design, pair)
    if pair.verdict in ("better", "worse"):
        apart = unit.points(abs(pair.advantage), spread)
        small = _small(design, pair)
        return f"{where}{first} is {pair.verdict} than {second} by {apart} ({evidence}){small}."
    apart = unit.points(pair.advantage, spread)
    if pair.verdict == "equivalent":
        margin = unit.points(design.margin or 0.0, spread)
        both = ""
        if len(design.family) > 1:
            ends = (
                f"{unit.apart(pair.family_low, spread)} to {unit.apart(pair.family_high, spread)}"
            )
            both = f"; corrected for {len(design.family)} comparisons {ends}"
        return (
            f"{where}{first} and {second} are equivalent within ±{margin}: the difference is"
            f" {apart} ({evidence}{both})."
        )
    return (
        f"{where}it is open whether {first} is better than {second}: the difference is {apart}"
        f" ({evidence}). {_seen(design, pair)}"
    )


def _names(design: Design, pair: Pair) -> tuple[str, str, str]:
    """Give the two names, and the beginning of the sentence with what they share."""
    first, second = design.arm(pair.first), design.arm(pair.second)
    if first.network == second.network:
        return first.method, second.method, f"On {design.data} with {first.network}, "
    if first.method == second.method:
        return first.network, second.network, f"On {design.data} with {first.method}, "
    return first.name, second.name, f"On {design.data}, "


def _evidence(design: Design, pair: Pair) -> str:
    unit, spread = Unit(design), pair.high - pair.low
    sure = f"{100 * (1 - design.level):g} %"
    if math.isinf(pair.low):
        interval = f"{counted(pair.pairs, 'pair')} give no {sure} interval"
    else:
        ends = f"{unit.apart(pair.low, spread)} to {unit.apart(pair.high, spread)}"
        interval = f"{sure} interval {ends}, {counted(pair.pairs, 'pair')}"
    return f"{interval}, {_holm(design, pair)}"


def _holm(design: Design, pair: Pair) -> str:
    name = "Holm p" if len(design.family) > 1 else "p"
    text = p_words(pair.holm_p)
    return f"{name} {text}"


def _small(design: Design, pair: Pair) -> str:
    margin = design.margin
    if margin is not None and -margin < pair.family_low and pair.family_high < margin:
        words = Unit(design).points(margin, pair.high - pair.low)
        return f", which is less than the {words} that matter"
    return ""


def _seen(design: Design, pair: Pair) -> str:
    unit, spread = Unit(design), pair.high - pair.low
    if math.isinf(pair.smallest_seen):
        return f"{counted(pair.pairs, 'pair')} cannot show any difference, however large."
    least = unit.points(pair.smallest_seen, min(spread, pair.smallest_seen))
    said = f"This study could have seen a true difference of {least} or more."
    if pair.low > 0 or pair.high < 0:
        said += " The interval leaves out 0, but it is not corrected for the other comparisons."
    if pair.further_seeds is None:
        return f"{said} More than {MOST_SEEDS:,} seeds would be needed for one as small as this."
    more = counted(pair.further_seeds, "further seed")
    mean = unit.points(pair.mean, spread)
    return f"{said} If the true mean is the {mean} that were seen, about {more} would decide it."


def _failures(comparison: Comparison) -> Iterator[str]:
    for arm in comparison.arms:
        if arm.diverged:
            yield (
                f"{arm.diverged} of {counted(arm.runs, 'run')} of {arm.arm} diverged and"
                f" {'counts' if arm.diverged == 1 else 'count'} as {_worst(comparison, arm)}, worse"
                " than every run that ended, and as never at the target."
            )


def _worst(comparison: Comparison, arm: ArmSummary) -> str:
    """Write what a diverged run of an arm scores, where another network stands beside it too."""
    design, within = comparison.design, comparison.worst[arm.network]
    unit, beside = Unit(design), dict[str, float]()
    for pair in comparison.pairs:
        if arm.arm in (pair.first, pair.second) and pair.worst != within:
            other = pair.second if arm.arm == pair.first else pair.first
            beside[design.arm(other).network] = pair.worst
    if not beside:
        return unit.score(within)
    others = (f"as {unit.score(worst)} beside {network}" for network, worst in beside.items())
    return ", ".join([f"{unit.score(within)} within {arm.network}", *others])


def _is_skewed(pair: Pair) -> bool:
    """Say whether estimate and mean tell different stories: two signs, or a fifth of the width."""
    outside = not pair.low <= pair.advantage <= pair.high
    width = pair.high - pair.low
    if math.isinf(width):
        width = pair.deviation
    apart = abs(pair.advantage - pair.mean) > SKEWED * width
    return pair.pairs > 1 and (outside or apart or pair.advantage * pair.mean < 0)


def _limits(comparison: Comparison) -> Iterator[str]:
    design, pairs = comparison.design, comparison.pairs
    if said := design.facts.get(NO_TEST):
        yield f"There is {NO_TEST}: {said}."
    if design.metric != USUAL:
        better = "lower" if design.lower_is_better else "higher"
        yield f"The score is {design.metric}, of the examples held out; {better} is better."
    for pair in filter(_is_skewed, pairs):
        yield (
            f"The differences between {pair.first} and {pair.second} are skewed: their mean is"
            f" {Unit(design).points(pair.mean, pair.high - pair.low)}, and it is the mean that was"
            " tested."
        )
    if pairs:
        many = len(design.seeds) > EXACT_PAIRS
        how = f"with drawn signs, least p {least_p(len(design.seeds)):.2g}" if many else "exact"
        family = counted(len(pairs), "comparison")
        yield (
            f"The sign-flip test of paired differences ({how}) was used"
            + (f", with Holm's correction for {family} declared" if len(pairs) > 1 else "")
            + (" before training." if len(pairs) > 1 else ", for one comparison declared before.")
            + " It supposes that without a difference the two runs of a pair could change places."
        )
    yield (
        "What is said holds for these data, this budget and these settings; another choice of data"
        " is not in the intervals."
    )
