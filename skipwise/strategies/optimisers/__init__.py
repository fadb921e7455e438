"""The update rules, as descriptions with every hyper-parameter named.

Takes parameter groups, gives torch optimisers.
"""

from skipwise.strategies.optimisers.adam import Adam, AdamW, NAdam, NAdamW, RAdam
from skipwise.strategies.optimisers.adaptive import Adafactor, Adagrad, RMSprop
from skipwise.strategies.optimisers.borrowed import (
    ADOPT,
    LAMB,
    LARS,
    MARS,
    SOAP,
    Adan,
    Lion,
    NotInstalled,
    Prodigy,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    Shampoo,
)
from skipwise.strategies.optimisers.cautious import CautiousAdamW
from skipwise.strategies.optimisers.descent import SGD, SGDW
from skipwise.strategies.optimisers.lbfgs import LBFGS
from skipwise.strategies.optimisers.lookahead import Lookahead
from skipwise.strategies.optimisers.muon import Muon
from skipwise.strategies.optimisers.optimiser import Groups, Optimiser
from skipwise.strategies.optimisers.sharpness import ASAM, GSAM, SAM

__all__ = [
    "ADOPT",
    "ASAM",
    "GSAM",
    "LAMB",
    "LARS",
    "LBFGS",
    "MARS",
    "SAM",
    "SGD",
    "SGDW",
    "SOAP",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adan",
    "CautiousAdamW",
    "Groups",
    "Lion",
    "Lookahead",
    "Muon",
    "NAdam",
    "NAdamW",
    "NotInstalled",
    "Optimiser",
    "Prodigy",
    "RAdam",
    "RMSprop",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Shampoo",
]
