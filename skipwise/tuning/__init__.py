"""Finding a learning rate, and taking one over from a shallow network to a deep one.

Takes (experiment, data set), gives rates with what speaks for them.
"""

from skipwise.tuning.confirm import NothingFound
from skipwise.tuning.coordinates import movement, movement_slope
from skipwise.tuning.depth import (
    Factors,
    at_other_depth,
    between,
    check_family,
    depth_of,
    factors,
    gradient_power,
)
from skipwise.tuning.found import FoundRate
from skipwise.tuning.range_test import Sweep, sweep
from skipwise.tuning.search import Search, find_rate, rate_of
from skipwise.tuning.slope import Slope, slope_of
from skipwise.tuning.transfer import Check, Transfer, check_transfer, transfer
from skipwise.tuning.trials import SelfTuned, Trial, short_run

__all__ = [
    "Check",
    "Factors",
    "FoundRate",
    "NothingFound",
    "Search",
    "SelfTuned",
    "Slope",
    "Sweep",
    "Transfer",
    "Trial",
    "at_other_depth",
    "between",
    "check_family",
    "check_transfer",
    "depth_of",
    "factors",
    "find_rate",
    "gradient_power",
    "movement",
    "movement_slope",
    "rate_of",
    "short_run",
    "slope_of",
    "sweep",
    "transfer",
]
