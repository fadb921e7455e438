"""How a network is trained.

Takes (module, plan), gives optimiser and schedule.
Imports shapes and description.
"""

from skipwise.strategies.averaging import EMA, Averaging
from skipwise.strategies.groups import ROLES, decays, parameter_groups, roles
from skipwise.strategies.named import (
    adam,
    adamw,
    finetuning,
    momentum,
    nesterov,
    nesterov_triangle,
    sgd,
)
from skipwise.strategies.optimisers import SGD, Adam, AdamW, Optimiser
from skipwise.strategies.schedules import Constant, Cosine, OneCycle, Schedule, Steps, WarmupLinear
from skipwise.strategies.strategy import Strategy

__all__ = [
    "EMA",
    "ROLES",
    "SGD",
    "Adam",
    "AdamW",
    "Averaging",
    "Constant",
    "Cosine",
    "OneCycle",
    "Optimiser",
    "Schedule",
    "Steps",
    "Strategy",
    "WarmupLinear",
    "adam",
    "adamw",
    "decays",
    "finetuning",
    "momentum",
    "nesterov",
    "nesterov_triangle",
    "parameter_groups",
    "roles",
    "sgd",
]
