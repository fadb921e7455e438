"""The planted faults and the healthy designs.

Takes a seed, gives specimens.
"""

from skipwise.selftest.cases.depth import DEPTH
from skipwise.selftest.cases.designs import DESIGNS
from skipwise.selftest.cases.labels import LABELS
from skipwise.selftest.cases.parts import PARTS
from skipwise.selftest.cases.rates import RATES

CASES = (*PARTS[:1], *DEPTH, *PARTS[1:], *RATES, *LABELS)

__all__ = ["CASES", "DESIGNS"]
