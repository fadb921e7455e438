"""What of a strategy may change in a run that has begun: what its saves hold must still fit."""

import dataclasses
from typing import Any

from skipwise.strategies.strategy import Strategy

WITH_STATE = ("optimiser", "averaging", "gradient", "freezing", "guard")  # parts of a strategy
SHAPING_STATE = ("optimiser", "gradient")  # those whose numbers may decide what a save holds
GROUPING = ("layer_decay", "scalar_rate")  # where they are 1, fewer groups are in the save


def check_change(before: Strategy, after: Strategy) -> None:
    """Refuse a change for which what a run has gathered would not do.

    Raises:
        ValueError: With the field.
    """
    for name in WITH_STATE:
        old, new = getattr(before, name), getattr(after, name)
        begins = name == "guard" and old is None
        if _kinds(old) != _kinds(new) and not begins:
            raise ValueError(
                f"strategy.{name} of a run that has begun cannot become another kind, since what it"
                " has gathered is in the save; change its numbers, or train anew with it"
            )
    for name in SHAPING_STATE:
        old, new = getattr(before, name), getattr(after, name)
        if found := _unlike(old, new, f"strategy.{name}"):
            raise ValueError(
                f"{found} of a run that has begun cannot change, since what the save holds depends"
                " on it; train anew with it"
            )
    for name in GROUPING:
        old, new = getattr(before, name), getattr(after, name)
        if (old == 1) != (new == 1):
            raise ValueError(
                f"strategy.{name} of a run that has begun cannot go from or to 1, since what the"
                " save holds depends on it; train anew with it"
            )


def _unlike(before: Any, after: Any, path: str) -> str:
    """Name the first field that changed otherwise than from one fraction to another; or nothing."""
    if type(before) is type(after) and dataclasses.is_dataclass(before):
        names = [field.name for field in dataclasses.fields(before)]
        pairs = [(getattr(before, n), getattr(after, n), f"{path}.{n}") for n in names]
    elif isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        pairs = [(*two, f"{path}.{n}") for n, two in enumerate(zip(before, after, strict=True))]
    else:
        both = isinstance(before, float) and isinstance(after, float)
        return "" if before == after or (both and before and after) else path
    return next((found for pair in pairs if (found := _unlike(*pair))), "")


def _kinds(part: object) -> tuple[type, ...]:
    """Give the class of a strategy's part, or those of several."""
    return tuple(map(type, part)) if isinstance(part, tuple) else (type(part),)
