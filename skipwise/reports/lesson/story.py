"""What the numbers of a lesson say: four stories, each told as it was seen or as it was not.

A story is *seen* only if every seed shows it. Every sentence is computed from the record.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from skipwise.reports.lesson.record import END, DepthLesson, Profile, Training, mean_loss, paired

VANISHES, EXPLODES = 1e-3, 70.0  # ‖g_0‖/‖g_L‖; AutoTrainer's, which took them from many trainings
SHATTERED = 0.25  # a cosine of two gradients: below without a skip, above with it
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
TWINS = (("plain", "scaled"), ("plain_norm", "residual_norm"))


@final
@dataclass(frozen=True, kw_only=True)
class Story:
    """One of the four: whether this run shows it, and what its numbers are."""

    name: str
    title: str
    seen: bool
    sentences: tuple[str, ...]


def stories(lesson: DepthLesson) -> tuple[Story, ...]:
    """Tell all four."""
    return vanishing(lesson), exploding(lesson), in_vain(lesson), with_skip(lesson)


def sentences(lesson: DepthLesson) -> tuple[str, ...]:
    """Give what the run says, one sentence each, and what was left out."""
    return (*(s for story in stories(lesson) for s in story.sentences), *lesson.left_out)


def vanishing(lesson: DepthLesson) -> Story:
    """Say whether the gradient of the sigmoid networks vanishes, and from which depth on."""
    profiles = lesson.profiles_of("sigmoid")
    gone = [p for p in profiles if max(p.ratios) < VANISHES]
    told: list[str] = []
    if gone:
        each = ", ".join(f"{short(p.ratio)} in {p.depth} layers" for p in profiles)
        told.append(
            f"The gradient vanishes: of its norm at the end the first block of"
            f" {lesson.names['sigmoid']} networks gets {each}; {_per_layer(gone[-1])}."
        )
        told += _beside_guessing(lesson, "sigmoid")
    else:
        told += _not_seen("no sigmoid network lost its gradient", profiles, lesson, VANISHES)
    return Story(name="vanish", title="Where it vanishes", seen=bool(gone), sentences=tuple(told))


def exploding(lesson: DepthLesson) -> Story:
    """Say where the gradient explodes: plain with BatchNorm, and residual without a scale."""
    told, seen = [], False
    for key in ("plain_norm", "unscaled"):
        profiles = lesson.profiles_of(key)
        large = [p for p in profiles if min(p.ratios) > EXPLODES]
        if not large:
            told += _not_seen(
                f"the gradient of {lesson.names[key]} did not explode", profiles, lesson, EXPLODES
            )
            continue
        seen, deepest = True, large[-1]
        told.append(
            f"The gradient explodes: in {_of(lesson, deepest)} it is {short(deepest.ratio)} times"
            f" as large at the first block as at the end{_theory(deepest)};"
            f" {_per_layer(deepest)}."
        )
        diverged = [t.diverged for t in lesson.trained(key, deepest.depth)]
        if any(diverged):
            told.append(f"{sum(diverged)} of {len(diverged)} trainings of these networks diverged.")
    return Story(name="explode", title="Where it explodes", seen=seen, sentences=tuple(told))


def in_vain(lesson: DepthLesson) -> Story:
    """Say whether plain ReLU networks have healthy norms and train worse for their depth."""
    depths = lesson.trained_depths("plain")
    deep = lesson.profile("plain", depths[-1]) if depths else None
    if deep is None or len(depths) < 2:
        told = ("Not seen in this run: it takes plain networks of two depths to compare.",)
        return Story(name="in-vain", title="Healthy and in vain", seen=False, sentences=told)
    healthy = all(VANISHES < ratio < EXPLODES for ratio in deep.ratios)
    best = _best(lesson, "plain", depths[:-1])
    (low, high), worse, seeds = _beside(lesson, ("plain", best), ("plain", deep.depth))
    seen = healthy and worse == seeds > 0
    why = "depth did not harm every seed" if healthy else "norms were not healthy"
    lead = (
        "Norms are healthy, and training degrades with depth all the same"
        if seen
        else f"Healthy norms with worse training were not seen in this run, since {why}"
    )
    told = (
        f"{lead}: in {_of(lesson, deep)} the gradient at the first block is"
        f" {short(min(deep.ratios))} to {short(max(deep.ratios))} times that at the end, over"
        f" {len(deep.ratios)} starts; their training loss ends at {high}, that of {best} layers at"
        f" {low}, and the deep one is worse in {worse} of {seeds} seeds.",
        *_scatter(lesson, deep),
        *_likeness(lesson, deep),
    )
    return Story(name="in-vain", title="Where norms are healthy in vain", seen=seen, sentences=told)


def with_skip(lesson: DepthLesson) -> Story:
    """Say what the sum changes, twin by twin, at the greatest depth that both were trained at."""
    found = [_twins(lesson, *pair) for pair in TWINS]
    won = [wins for wins, _ in found]
    lead = (
        "With the skip the deepest networks that were trained do better than their plain twins, in"
        " every seed."
        if all(won)
        else "That the skip trains better than its plain twin was not seen in every seed."
    )
    told = (lead, *(sentence for _, its in found for sentence in its))
    return Story(name="skip", title="What the skip changes", seen=all(won), sentences=told)


def _twins(lesson: DepthLesson, plain: str, residual: str) -> tuple[bool, list[str]]:
    """Compare one residual design with its plain twin; the first value says whether it won."""
    common = set(lesson.trained_depths(plain)) & set(lesson.trained_depths(residual))
    if not common:
        name = lesson.names[residual]
        return False, [
            f"Nothing is said of {name}: no depth was trained with and without the skip."
        ]
    depth, told = max(common), []
    (end, plain_end), worse, seeds = _beside(lesson, (residual, depth), (plain, depth))
    first, second = lesson.profile(plain, depth), lesson.profile(residual, depth)
    if first is not None and second is not None:
        told.append(
            f"At {depth} layers the first block gets {short(first.ratio)} times the gradient at"
            f" the end in {lesson.names[plain]}, {short(second.ratio)} times in"
            f" {lesson.names[residual]}{_theory(second)}."
        )
    told.append(
        f"Trained alike, {lesson.names[residual]} ends at {end} where {lesson.names[plain]} ends at"
        f" {plain_end}: the skip has the lower training loss in {worse} of {seeds} seeds."
    )
    told += _with_depth(lesson, residual)
    return worse == seeds > 0, told


def short(value: float) -> str:
    """Write a number with two digits, powers of ten as such.

    >>> short(0.24), short(3.4e-12), short(1500.0), short(1e-5), short(1.0)
    ('0.24', '3.4·10⁻¹²', '1,500', '10⁻⁵', '1')
    """
    if not math.isfinite(value):
        return "not finite"
    if value == 0 or 0.001 <= abs(value) < 10_000:
        rounded = float(f"{value:.2g}")
        return f"{rounded:,.0f}" if abs(rounded) >= 10 else f"{rounded:g}"
    digits, power = f"{value:.1e}".split("e")
    ten = f"10{str(int(power)).translate(SUPERSCRIPTS)}"
    return ten if digits == "1.0" else f"{digits.removesuffix('.0')}·{ten}"


def loss_of(trainings: Sequence[Training]) -> str:
    """Write the mean of the losses at the end; that one diverged is said."""
    mean = mean_loss(trainings)
    return f"{mean:.3g}" if math.isfinite(mean) else "a loss that is not finite"


def _of(lesson: DepthLesson, profile: Profile) -> str:
    return f"{lesson.names[profile.design]} networks of {profile.depth} layers"


def _theory(profile: Profile) -> str:
    expected = profile.expectation
    if expected is None or not expected.holds:
        return ""
    return f" (theory {short(expected.values[0])})"


def _ends(lesson: DepthLesson, key: str, depth: int) -> str:
    return loss_of(lesson.trained(key, depth))


def _beside(
    lesson: DepthLesson, first: tuple[str, int], second: tuple[str, int]
) -> tuple[tuple[str, str], int, int]:
    """Compare two networks over the seeds that both were trained with.

    Returns:
        Their mean losses in words, the number of seeds in which the second ends higher, and of all.
    """
    one, other = lesson.trained(*first), lesson.trained(*second)
    seeds = {t.seed for t in one} & {t.seed for t in other}
    one, other = ([t for t in some if t.seed in seeds] for some in (one, other))
    higher = sum(b > a for a, b in paired(one, other))
    return (loss_of(one), loss_of(other)), higher, len(seeds)


def _best(lesson: DepthLesson, key: str, depths: Sequence[int]) -> int:
    return min(depths, key=lambda depth: mean_loss(lesson.trained(key, depth)))


def _not_seen(
    what: str, profiles: Sequence[Profile], lesson: DepthLesson, limit: float
) -> Iterator[str]:
    if not profiles:
        yield f"Not seen in this run: {what}, since none was measured."
        return
    deepest = profiles[-1]
    yield (
        f"Not seen in this run: {what}. In {_of(lesson, deepest)} the first block gets"
        f" {short(deepest.ratio)} times the gradient at the end; {short(limit)} would count."
    )


def _per_layer(profile: Profile) -> str:
    expected = profile.expectation
    words = f"a factor of {profile.per_layer:.4g} for each layer"
    if expected is None or not expected.holds:
        return words
    return f"{words} (theory {expected.values[0] ** (1 / profile.layers):.4g})"


def _beside_guessing(lesson: DepthLesson, key: str) -> Iterator[str]:
    depths = lesson.trained_depths(key)
    if depths:
        yield (
            f"At {depths[-1]} layers the training loss ends at {_ends(lesson, key, depths[-1])};"
            f" guessing gives {math.log(lesson.setting.classes):.3g}."
        )


def _scatter(lesson: DepthLesson, deep: Profile) -> Iterator[str]:
    if not math.isfinite(deep.scatter):
        return
    layers, width = deep.layers, lesson.setting.width
    yield (
        "Theory expects no change in the mean of ‖g‖², and a scatter: the standard deviation of"
        f" log ‖g‖² is √(5L/n) = {math.sqrt(5 * layers / width):.2g} for one example, L = {layers}"
        f" layers and n = {width}. Over the {len(deep.ratios)} starts, for"
        f" {lesson.setting.measured} examples together, which share some of it, it is"
        f" {deep.scatter:.2g}."
    )


def _likeness(lesson: DepthLesson, deep: Profile) -> Iterator[str]:
    found = lesson.likeness("plain", deep.depth)
    twin, beside = lesson.likeness("scaled", deep.depth), lesson.profile("scaled", deep.depth)
    if found is None or twin is None or beside is None:
        return
    plain, skip = (statistics.fmean(each.cosines) for each in (found, twin))
    yield (
        "What norms do not tell: if the same vector goes back from the end for two examples, their"
        f" gradients at the first block have the cosine {short(plain)} (theory"
        f" {short(found.expected)}); in {lesson.names['scaled']}, {short(skip)} (theory"
        f" {short(twin.expected)})."
    )
    yield (
        "So the gradients of the deep plain network are shattered: it hardly has a direction that"
        " improves it on several examples at once."
        if plain < SHATTERED < skip
        else "That the skip keeps gradients from shattering was not seen in this run."
    )
    yield (
        "The streams of two different examples have the cosine"
        f" {statistics.fmean(deep.correlations):.4g} at the end; in {lesson.names['scaled']},"
        f" {statistics.fmean(beside.correlations):.4g}. At 1 the head cannot tell them apart."
    )


def _with_depth(lesson: DepthLesson, key: str) -> Iterator[str]:
    depths = lesson.trained_depths(key)
    if len(depths) < 2:
        return
    low, high = depths[0], depths[-1]
    (before, after), worse, seeds = _beside(lesson, (key, low), (key, high))
    why = _too_short(lesson, key, high) if worse else ""
    yield (
        f"From {low} to {high} layers the loss of {lesson.names[key]} goes from {before} to"
        f" {after}; deeper is worse in {worse} of {seeds} seeds{why}."
    )


def _too_short(lesson: DepthLesson, key: str, depth: int) -> str:
    """Say whether the deep networks still learn at the end, beyond the scatter of batches."""
    steps, gained, squares = lesson.setting.steps, 0.0, 0.0
    for training in lesson.trained(key, depth):
        part = max(round(END * len(training.losses)), 1)
        last, before = training.losses[-part:], training.losses[-2 * part : -part]
        if training.diverged or len(before) < 2:
            return ""
        gained += statistics.fmean(before) - statistics.fmean(last)
        squares += (statistics.variance(before) + statistics.variance(last)) / part
    if gained > 2 * math.sqrt(squares):
        return (
            f", but their loss still falls at the end: {steps} updates are too short for depth to"
            " pay, and do not show that it harms"
        )
    return f"; whether more than {steps} updates would turn this was not tried"
