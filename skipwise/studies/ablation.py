"""What the parts of a strategy are worth: the strategy without each, and a plain one with only it.

A part is a field in which a strategy differs from the plain one with the same update rule and rate:
averaging, smoothing, clipping, decay, schedule, and each member of a tuple of such things. Leaving
one out of all and adding one to none answer different questions where parts help each other.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skipwise.strategies import Constant, Strategy
from skipwise.studies.study import Study

FULL, NONE, WITHOUT, ONLY = "full", "none", "without", "only"
# What a plain strategy shares with the whole one; the last two say which batches the rate is for.
KEPT = ("name", "optimiser", "peak_lr", "rate_batch", "rate_rule")


@dataclass(frozen=True, kw_only=True)
class Part:
    """What an arm tells: ``full``, ``none``, or ``without`` or ``only`` with the part's name."""

    kind: str
    name: str = ""


def ablated(study: Study) -> list[tuple[Strategy, Part | None]]:
    """Give the strategies of a study, in an ablation those that tell of its parts.

    Raises:
        ValueError: If the strategy has no parts.
    """
    if not study.ablate:
        return [(strategy, None) for strategy in study.strategies]
    return list(_family(study.strategies[0]))


def plain(strategy: Strategy) -> Strategy:
    """Give the strategy without its parts: the same rule and rate, all else at its default."""
    kept = {name: getattr(strategy, name) for name in KEPT}
    return Strategy(**kept, schedule=Constant())


def parts_of(strategy: Strategy) -> dict[str, dict[str, Any]]:
    """Give what each part sets, by the part's name: the field, or the kind of a tuple's member.

    Factors on the decay are nothing without it, so they are one part with it.
    """
    bare, found = plain(strategy), {}
    for entry in dataclasses.fields(strategy):
        value, without = getattr(strategy, entry.name), getattr(bare, entry.name)
        if entry.name in KEPT or value == without:
            continue
        if isinstance(value, tuple):
            found |= {type(member).__name__: {entry.name: (member,)} for member in value}
        else:
            found[entry.name] = {entry.name: value}
    if factors := found.pop("decay_factors", None):
        found["weight_decay"] |= factors
    return found


def _family(strategy: Strategy) -> Iterator[tuple[Strategy, Part | None]]:
    parts, bare = parts_of(strategy), plain(strategy)
    if not parts:
        raise ValueError(
            f"{strategy.name} has no parts to leave out: only its rule and its rate are set"
        )
    name = strategy.name
    yield strategy, Part(kind=FULL)
    # With one part, the strategy without it is the plain one, and the plain one with it the whole.
    for part in parts if len(parts) > 1 else ():
        yield (
            _called(without(strategy, parts[part]), f"{name} without {part}"),
            Part(kind=WITHOUT, name=part),
        )
    yield _called(bare, f"{name} without parts"), Part(kind=NONE)
    for part in parts if len(parts) > 1 else ():
        yield (
            _called(dataclasses.replace(bare, **parts[part]), f"{name} only {part}"),
            Part(kind=ONLY, name=part),
        )


def _called(strategy: Strategy, name: str) -> Strategy:
    return dataclasses.replace(strategy, name=name)


def without(strategy: Strategy, part: dict[str, Any]) -> Strategy:
    """Give the strategy with one part at its plain value; of a tuple the other members stay."""
    bare, changed = plain(strategy), {}
    for name, value in part.items():
        whole = getattr(strategy, name)
        is_member = isinstance(whole, tuple)
        rest = tuple(m for m in whole if m not in value) if is_member else getattr(bare, name)
        changed[name] = rest
    return dataclasses.replace(strategy, **changed)
