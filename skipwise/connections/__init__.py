"""How a branch joins the residual stream.

Takes (stream, branch), gives the stream after the block; shortcuts stand in where the shape
changes.
"""

from skipwise.connections.additive import Additive, AdditiveConnection
from skipwise.connections.connection import Connection, ConnectionDescription, Skip
from skipwise.connections.highway import Highway, HighwayConnection
from skipwise.connections.hyper import Hyper, HyperConnection
from skipwise.connections.plain import Plain, PlainConnection
from skipwise.connections.shortcut import (
    Padded,
    PaddedShortcut,
    Pooled,
    Projected,
    ProjectedShortcut,
    Shortcut,
)
from skipwise.connections.shortcut_gate import ShortcutGate, ShortcutGateConnection
from skipwise.connections.stochastic import (
    StochasticDepth,
    StochasticDepthConnection,
    innermost,
    linear_survival,
)

__all__ = [
    "Additive",
    "AdditiveConnection",
    "Connection",
    "ConnectionDescription",
    "Highway",
    "HighwayConnection",
    "Hyper",
    "HyperConnection",
    "Padded",
    "PaddedShortcut",
    "Plain",
    "PlainConnection",
    "Pooled",
    "Projected",
    "ProjectedShortcut",
    "Shortcut",
    "ShortcutGate",
    "ShortcutGateConnection",
    "Skip",
    "StochasticDepth",
    "StochasticDepthConnection",
    "innermost",
    "linear_survival",
]
