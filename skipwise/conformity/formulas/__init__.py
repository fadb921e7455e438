"""The update rules written slowly, one function a rule.

Takes a description, gives its formula; :data:`FORMULAS` has an entry a rule.
Imports strategies.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from skipwise.conformity.formulas.descent import descent
from skipwise.conformity.formulas.formula import (
    Arrays,
    EachTensor,
    Formula,
    Setting,
    Settings,
    Update,
)
from skipwise.conformity.formulas.moments import adam, adamw
from skipwise.strategies import SGD, Adam, AdamW, Optimiser


def _each(update: Update) -> Callable[[Any], Formula]:
    return partial(EachTensor, update=update)


FORMULAS: Mapping[type[Optimiser], Callable[[Any], Formula]] = {
    SGD: _each(descent),
    Adam: _each(adam),
    AdamW: _each(adamw),
}


def formula_of(rule: Optimiser) -> Formula | None:
    """Give a rule's formula at its start, that of the nearest class it is made from, or None."""
    makers = [FORMULAS[kind] for kind in type(rule).__mro__ if kind in FORMULAS]
    return makers[0](rule) if makers else None


__all__ = ["FORMULAS", "Arrays", "Formula", "Setting", "Settings", "formula_of"]
