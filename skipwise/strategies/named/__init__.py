"""The named strategies, every hyper-parameter pinned, with sources and what speaks for each.

Takes nothing, gives strategies; rates are for batches of ``rate_batch`` and follow ``rate_rule``.
"""

import inspect
from collections.abc import Callable

from skipwise.strategies.named.around import asam, ema, gsam, lawa, lookahead, sam, swa
from skipwise.strategies.named.classic import (
    adam,
    adamw,
    finetuning,
    momentum,
    nesterov,
    nesterov_triangle,
    sgd,
)
from skipwise.strategies.named.descent import (
    agc_nf,
    lars,
    sgd_cosine,
    sgd_onecycle,
    sgd_step,
    sgd_wsd,
    sgdw_algoperf,
)
from skipwise.strategies.named.experimental import adopt, cautious_adamw, mars
from skipwise.strategies.named.matrices import lbfgs, muon, muon_triangle, shampoo, soap
from skipwise.strategies.named.moments import (
    adafactor,
    adagrad,
    adamw_cosine,
    adan,
    lamb,
    lion,
    nadam,
    nadamw_algoperf,
    radam,
    rmsprop,
)
from skipwise.strategies.named.tuning_free import (
    prodigy,
    schedulefree_adamw,
    schedulefree_sgd,
)
from skipwise.strategies.strategy import Strategy


def named_strategies() -> dict[str, Callable[[], Strategy]]:
    """Give the functions that make them, by name as the command line spells it, ``sgd-cosine``."""
    functions = (f for name in __all__ if inspect.isfunction(f := globals()[name]))
    makers = (f for f in functions if f.__annotations__["return"] is Strategy)
    return {f.__name__.replace("_", "-"): f for f in makers}


__all__ = [
    "adafactor",
    "adagrad",
    "adam",
    "adamw",
    "adamw_cosine",
    "adan",
    "adopt",
    "agc_nf",
    "asam",
    "cautious_adamw",
    "ema",
    "finetuning",
    "gsam",
    "lamb",
    "lars",
    "lawa",
    "lbfgs",
    "lion",
    "lookahead",
    "mars",
    "momentum",
    "muon",
    "muon_triangle",
    "nadam",
    "nadamw_algoperf",
    "named_strategies",
    "nesterov",
    "nesterov_triangle",
    "prodigy",
    "radam",
    "rmsprop",
    "sam",
    "schedulefree_adamw",
    "schedulefree_sgd",
    "sgd",
    "sgd_cosine",
    "sgd_onecycle",
    "sgd_step",
    "sgd_wsd",
    "sgdw_algoperf",
    "shampoo",
    "soap",
    "swa",
]
