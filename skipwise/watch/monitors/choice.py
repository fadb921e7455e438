"""Which monitors a run has, as a user writes it: ``gradients,curvature:every=500:top``."""

from dataclasses import dataclass
from typing import final

from skipwise.description import nearest

GRADIENTS, CURVATURE, UNITS = "gradients", "curvature", "units"
UPDATES, NORMALISATION = "updates", "normalisation"
NAMES = (GRADIENTS, CURVATURE, UNITS, UPDATES, NORMALISATION)
EVERY, EXAMPLES, TOP = "every", "examples", "top"


@final
@dataclass(frozen=True, kw_only=True)
class Choice:
    """One monitor.

    Args:
        name: Of :data:`NAMES`.
        every: Steps between two measurements; None spreads them by their cost.
        examples: How many it looks at; None takes what suits it.
        top: Of the curvature, whether the largest eigenvalue is measured too.
    """

    name: str
    every: int | None = None
    examples: int | None = None
    top: bool = False


def choices(words: str) -> tuple[Choice, ...]:
    """Read the monitors off what was written.

    >>> choices("gradients,curvature:every=500:top")[1].every
    500

    Args:
        words: Names, with commas between them; options follow a name after colons: ``every=N``,
            ``examples=N``, and ``top`` for the curvature.

    Raises:
        TypeError: If it is no string.
        ValueError: If a monitor or an option is unknown, stands twice, or is no number above zero.
    """
    if not isinstance(words, str):
        raise TypeError(
            "watch names monitors in one string, 'gradients,curvature:every=500' for example; got"
            f" {type(words).__name__}"
        )
    found = [_choice(word.strip()) for word in words.split(",")] if words.strip() else []
    names = [choice.name for choice in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"--watch names {twice} twice; give it once, with one every=")
    return tuple(found)


def _choice(word: str) -> Choice:
    name, *options = (part.strip() for part in word.split(":"))
    if name not in NAMES:
        raise ValueError(f"there is no monitor {name!r}{nearest(name, NAMES)}")
    known = (EVERY, EXAMPLES, TOP) if name == CURVATURE else (EVERY, EXAMPLES)
    if name == UPDATES:
        known = (EVERY,)
    numbers: dict[str, int] = {}
    for option in options:
        key, _, value = option.partition("=")
        if key not in known:
            raise ValueError(f"{name} has no option {key!r}{nearest(key, known)}")
        if key in numbers:
            raise ValueError(f"{name} has the option {key} twice; give it once")
        numbers[key] = _switch(name, value) if key == TOP else _number(name, key, value)
    return Choice(
        name=name,
        every=numbers.get(EVERY),
        examples=numbers.get(EXAMPLES),
        top=bool(numbers.get(TOP)),
    )


def _number(name: str, key: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(
            f"{key} must be a whole number of at least 1, got {value!r}; write"
            f" {name}:{key}={500 if key == EVERY else 64}"
        )
    return int(value)


def _switch(name: str, value: str) -> int:
    if value:
        raise ValueError(f"{TOP} takes no value, got {value!r}; write {name}:{TOP}")
    return 1
