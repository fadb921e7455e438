"""Why a network trains or does not: measurement, with the theory over it.

Takes any module, a batch and a loss, gives measurements of plain numbers; never trains, never
changes the model. Imports records, shapes and randomness.
"""

from skipwise.analysis.depth import (
    effective_depth,
    gradient_autocorrelation,
    gradient_split,
    jacobian,
    jacobian_density,
    lesion,
    lesions,
    nearest_design,
    path_spectrum,
    shattering,
    signal,
)
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
    "effective_depth",
    "find_sites",
    "gradient_autocorrelation",
    "gradient_split",
    "jacobian",
    "jacobian_density",
    "lesion",
    "lesions",
    "nearest_design",
    "path_spectrum",
    "pose",
    "shattering",
    "signal",
    "untouched",
]
