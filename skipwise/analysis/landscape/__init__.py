"""The loss around, between and along sets of weights.

Takes a model, batches and a loss, gives measurements; weights are moved and put back.
"""

from skipwise.analysis.landscape.barrier import barrier
from skipwise.analysis.landscape.directions import filter_normalised, moved, random_direction
from skipwise.analysis.landscape.slices import line, plane
from skipwise.analysis.landscape.statistics import Statistics, recompute_statistics
from skipwise.analysis.landscape.trajectory import Path, principal_path, trajectory, walk_shares

__all__ = [
    "Path",
    "Statistics",
    "barrier",
    "filter_normalised",
    "line",
    "moved",
    "plane",
    "principal_path",
    "random_direction",
    "recompute_statistics",
    "trajectory",
    "walk_shares",
]
