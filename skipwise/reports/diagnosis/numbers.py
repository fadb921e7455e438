"""Numbers as the page shows them, with their exact values behind them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

UNKNOWN = "?"
LARGE = 1e7  # beyond it a number is easier to read by its power of ten


@dataclass(frozen=True, kw_only=True)
class Number:
    """Four digits for the eye, and all of them for a program; ``exact`` is empty if unknown."""

    text: str
    exact: str = ""


def number_of(value: float | None) -> Number:
    """Give a number of the plain form, where None is what was not known or not finite.

    >>> number_of(0.123456789)
    Number(text='0.1235', exact='0.123456789')
    >>> number_of(123456), number_of(None)
    (Number(text='123,456', exact='123456'), Number(text='?', exact=''))
    """
    if not known(value):
        return Number(text=UNKNOWN)
    whole = float(value).is_integer() and abs(value) < LARGE
    return Number(text=f"{int(value):,}" if whole else f"{value:.4g}", exact=repr(value))


def numbers_of(values: Mapping[str, float | None]) -> list[tuple[str, Number]]:
    """Give named numbers in their order."""
    return [(name, number_of(value)) for name, value in values.items()]


def known(value: Any) -> TypeGuard[float]:
    """Whether a value of the plain form is a number that is finite."""
    return isinstance(value, int | float) and math.isfinite(value)
