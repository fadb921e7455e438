"""Skipwise: residual networks, trained well, compared fairly, explained by measurement.

Names resolve when they are first used, so ``import skipwise`` is quick and does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skipwise.connections import (
        Additive,
        Highway,
        Hyper,
        Padded,
        Plain,
        Pooled,
        Projected,
        ShortcutGate,
        StochasticDepth,
    )
    from skipwise.data import CIFAR, Arrays, Digits, FashionMNIST, Folder, Own, Parquet, Table
    from skipwise.diagnosing import diagnose
    from skipwise.evaluating import evaluate
    from skipwise.experiment import Experiment
    from skipwise.exports import export
    from skipwise.lessons import explain
    from skipwise.networks import (
        Residual,
        ResNet,
        measure_size,
        plain20,
        plain56,
        resnet18,
        resnet20,
        resnet50,
        resnet56,
        resnet110,
    )
    from skipwise.prediction import load
    from skipwise.reports import report
    from skipwise.runs import resume, train
    from skipwise.strategies import Strategy, adam, adamw, momentum, nesterov, sgd
    from skipwise.studies import Study, compare
    from skipwise.tuning import find_rate, transfer
    from skipwise.watch import tensorboard

__version__ = "0.1.0"

HOMES = {
    "connections": (
        "Additive", "Highway", "Hyper", "Padded", "Plain", "Pooled", "Projected",
        "ShortcutGate", "StochasticDepth",
    ),
    "data": (
        "Arrays", "CIFAR", "Digits", "FashionMNIST", "Folder", "Own", "Parquet", "Table",
    ),
    "diagnosing": ("diagnose",),
    "evaluating": ("evaluate",),
    "experiment": ("Experiment",),
    "exports": ("export",),
    "lessons": ("explain",),
    "networks": (
        "ResNet", "Residual", "measure_size",
        "plain20", "plain56", "resnet18", "resnet20", "resnet50", "resnet56", "resnet110",
    ),
    "prediction": ("load",),
    "reports": ("report",),
    "runs": ("resume", "train"),
    "strategies": ("Strategy", "adam", "adamw", "momentum", "nesterov", "sgd"),
    "tuning": ("find_rate", "transfer"),
    "studies": ("Study", "compare"),
    "watch": ("tensorboard",),
}  # fmt: skip
PARTS = (
    *HOMES,
    "analysis",
    "comparison",
    "conformity",
    "diagnosis",
    "recipes",
    "selftest",
    "tasks",
    "training",
    "weights",
)
_HOME = {name: home for home, names in HOMES.items() for name in names}

__all__ = [
    "CIFAR",
    "Additive",
    "Arrays",
    "Digits",
    "Experiment",
    "FashionMNIST",
    "Folder",
    "Highway",
    "Hyper",
    "Own",
    "Padded",
    "Parquet",
    "Plain",
    "Pooled",
    "Projected",
    "ResNet",
    "Residual",
    "ShortcutGate",
    "StochasticDepth",
    "Strategy",
    "Study",
    "Table",
    "adam",
    "adamw",
    "compare",
    "diagnose",
    "evaluate",
    "explain",
    "export",
    "find_rate",
    "load",
    "measure_size",
    "momentum",
    "nesterov",
    "plain20",
    "plain56",
    "report",
    "resnet18",
    "resnet20",
    "resnet50",
    "resnet56",
    "resnet110",
    "resume",
    "sgd",
    "tensorboard",
    "train",
    "transfer",
]


def __getattr__(name: str):
    if name in PARTS:
        return import_module(f"skipwise.{name}")
    if name not in _HOME:
        there = () if name.startswith("_") else ("strategies", "networks", "data", "connections")
        homes = [h for h in there if name in import_module(f"skipwise.{h}").__all__]
        hint = f"; it is skipwise.{homes[0]}.{name}" if homes else ""
        raise AttributeError(f"skipwise has no {name!r}{hint}")
    return vars(import_module(f"skipwise.{_HOME[name]}"))[name]


def __dir__() -> list[str]:
    return sorted({*__all__, *PARTS})
