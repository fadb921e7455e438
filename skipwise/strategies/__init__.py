"""How a network is trained.

Takes (module, plan), gives optimiser and schedule.
Imports shapes and description.
"""

from skipwise.strategies.averaging import EMA, SWA, Averaging
from skipwise.strategies.freezing import Freezing
from skipwise.strategies.groups import ROLES, decays, parameter_groups, roles
from skipwise.strategies.guard import Guard
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
from skipwise.strategies.schedules import (
    Constant,
    Cosine,
    OneCycle,
    Polynomial,
    Restarts,
    Schedule,
    StableDecay,
    Steps,
    ToConstant,
    WarmupLinear,
)
from skipwise.strategies.strategy import Strategy
from skipwise.strategies.transforms import (
    AdaptiveClipping,
    AutoClip,
    Centralisation,
    Chain,
    ClipNorm,
    GradientNoise,
    GradientTransform,
    Learning,
    ZClip,
)

__all__ = [
    "EMA",
    "ROLES",
    "SGD",
    "SWA",
    "Adam",
    "AdamW",
    "AdaptiveClipping",
    "AutoClip",
    "Averaging",
    "Centralisation",
    "Chain",
    "ClipNorm",
    "Constant",
    "Cosine",
    "Freezing",
    "GradientNoise",
    "GradientTransform",
    "Guard",
    "Learning",
    "OneCycle",
    "Optimiser",
    "Polynomial",
    "Restarts",
    "Schedule",
    "StableDecay",
    "Steps",
    "Strategy",
    "ToConstant",
    "WarmupLinear",
    "ZClip",
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
