"""Update rules, averages and gradient transforms written slowly, one function or class for each.

Takes a description, gives its formula; :data:`FORMULAS` has an entry a rule.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from skipwise.conformity.formulas.adaptive import adafactor, adagrad, rmsprop
from skipwise.conformity.formulas.around import Lagging, Sharp
from skipwise.conformity.formulas.averages import AVERAGES, Average
from skipwise.conformity.formulas.descent import decayed_descent, descent
from skipwise.conformity.formulas.formula import (
    Arrays,
    EachTensor,
    Formula,
    Setting,
    Settings,
    Update,
)
from skipwise.conformity.formulas.gradients import CHANGES, Change, norm_of
from skipwise.conformity.formulas.matrices import Orthogonal, shampoo, soap
from skipwise.conformity.formulas.momenta import adan, lamb, lars, lion
from skipwise.conformity.formulas.moments import (
    adam,
    adamw,
    adopt,
    cautious_adamw,
    mars,
    nadam,
    nadamw,
    radam,
)
from skipwise.conformity.formulas.tuning_free import (
    Estimating,
    schedule_free_adamw,
    schedule_free_sgd,
)
from skipwise.strategies import (
    ADOPT,
    ASAM,
    GSAM,
    LAMB,
    LARS,
    MARS,
    SAM,
    SGD,
    SGDW,
    SOAP,
    Adafactor,
    Adagrad,
    Adam,
    AdamW,
    Adan,
    Averaging,
    CautiousAdamW,
    GradientTransform,
    Lion,
    Lookahead,
    Muon,
    NAdam,
    NAdamW,
    Optimiser,
    Prodigy,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    Shampoo,
)


def _each(update: Update) -> Callable[[Any], Formula]:
    return partial(EachTensor, update=update)


def _around(kind: Callable[[Any, Formula], Formula], inner: str) -> Callable[[Any], Formula | None]:
    def made(rule: Any) -> Formula | None:
        inside = formula_of(vars(rule)[inner])
        return None if inside is None else kind(rule, inside)

    return made


FORMULAS: Mapping[type[Optimiser], Callable[[Any], Formula | None]] = {
    SGD: _each(descent),
    SGDW: _each(decayed_descent),
    Adam: _each(adam),
    AdamW: _each(adamw),
    CautiousAdamW: _each(cautious_adamw),
    ADOPT: _each(adopt),
    MARS: _each(mars),
    NAdam: _each(nadam),
    NAdamW: _each(nadamw),
    RAdam: _each(radam),
    RMSprop: _each(rmsprop),
    Adagrad: _each(adagrad),
    Adafactor: _each(adafactor),
    Lion: _each(lion),
    Adan: _each(adan),
    LARS: _each(lars),
    LAMB: _each(lamb),
    Shampoo: _each(shampoo),
    SOAP: _each(soap),
    Muon: _around(Orthogonal, "others"),
    SAM: _around(Sharp, "base"),
    ASAM: _around(Sharp, "base"),
    GSAM: _around(Sharp, "base"),
    Lookahead: _around(Lagging, "base"),
    Prodigy: Estimating,
    ScheduleFreeSGD: _each(schedule_free_sgd),
    ScheduleFreeAdamW: _each(schedule_free_adamw),
}


def formula_of(rule: Optimiser) -> Formula | None:
    """Give a rule's formula at its start, that of the nearest class it is made from, or None."""
    makers = [FORMULAS[kind] for kind in type(rule).__mro__ if kind in FORMULAS]
    return makers[0](rule) if makers else None


def average_of(averaging: Averaging) -> Average | None:
    """Give the formula of an average, that of the nearest class it is made from, or None."""
    return next((AVERAGES[k] for k in type(averaging).__mro__ if k in AVERAGES), None)


def change_of(transform: GradientTransform) -> Change | None:
    """Give the formula of a gradient transform, likewise, or None."""
    return next((CHANGES[k] for k in type(transform).__mro__ if k in CHANGES), None)


__all__ = [
    "AVERAGES",
    "CHANGES",
    "FORMULAS",
    "Arrays",
    "Formula",
    "Setting",
    "Settings",
    "average_of",
    "change_of",
    "formula_of",
    "norm_of",
]
