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

__all__ = [
    "collapse",
    "depth",
    "finite",
    "ignored",
    "initialisation",
    "shattered",
    "unused_depth",
]
