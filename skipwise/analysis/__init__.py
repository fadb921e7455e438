"""Why a network trains or does not: measurement, with the theory over it.

Takes any module, a batch and a loss, gives measurements of plain numbers; never trains, never
changes the model. Imports records, shapes and randomness.
"""

from skipwise.analysis.depth import gradient_split, nearest_design, signal
from skipwise.analysis.measurement import Measurement, Theory
from skipwise.analysis.problem import Problem, pose
from skipwise.analysis.sites import Site, Sites, find_sites
from skipwise.analysis.untouched import untouched

__all__ = [
    "Measurement",
    "Problem",
    "Site",
    "Sites",
    "Theory",
    "find_sites",
    "gradient_split",
    "nearest_design",
    "pose",
    "signal",
    "untouched",
]
