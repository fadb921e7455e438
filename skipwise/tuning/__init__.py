"""Finding a learning rate, and taking one over from a shallow network to a deep one.

Takes (experiment, data set), gives rates with what speaks for them.
Imports experiment, data, strategies, networks, training and what draws reports.
"""

from skipwise.tuning.found import FoundRate
from skipwise.tuning.range_test import Sweep, sweep
from skipwise.tuning.search import Search, find_rate, rate_of
from skipwise.tuning.trials import Trial, short_run

__all__ = ["FoundRate", "Search", "Sweep", "Trial", "find_rate", "rate_of", "short_run", "sweep"]
