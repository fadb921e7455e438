"""The rules V0 to V13, one a file: numbers in, a verdict out.

A rule takes what it needs as keyword arguments, measurements or plain numbers, None where that was
not measured, and never looks at a model. What it cannot judge it calls UNKNOWN and says why.
"""

from skipwise.diagnosis.rules.blocks import (
    collapse,
    depth,
    ignored,
    initialisation,
    shattered,
    unused_depth,
)
from skipwise.diagnosis.rules.finite import finite
from skipwise.diagnosis.rules.training import (
    batch_size,
    batch_statistics,
    dead_units,
    lost_updates,
    overfitting,
    rate,
    stability,
)

__all__ = [
    "batch_size",
    "batch_statistics",
    "collapse",
    "dead_units",
    "depth",
    "finite",
    "ignored",
    "initialisation",
    "lost_updates",
    "overfitting",
    "rate",
    "shattered",
    "stability",
    "unused_depth",
]
