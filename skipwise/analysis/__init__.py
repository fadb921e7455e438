"""Why a network trains or does not: measurement, with the theory over it.

Takes any module, a batch and a loss, gives measurements of plain numbers; never trains, never
changes the model.
"""

from skipwise.analysis.curvature import (
    Rule,
    batch_sharpness,
    gradient_noise,
    hessian,
    hessian_density,
    hessian_spectrum,
    step_quality,
)
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
from skipwise.analysis.landscape import barrier, line, plane, principal_path, trajectory
from skipwise.analysis.measurement import Measurement, Theory, short
from skipwise.analysis.problem import Problem, pose
from skipwise.analysis.sites import Site, Sites, find_sites
from skipwise.analysis.state import (
    equilibrium_rotation,
    layer_rotation,
    linear_probes,
    normalisation,
    scale_invariant_weights,
    state_ranks,
    state_similarity,
    units,
    update_sizes,
    weight_ranks,
)
from skipwise.analysis.untouched import untouched
from skipwise.analysis.weights import weights_of

__all__ = [
    "Measurement",
    "Problem",
    "Rule",
    "Site",
    "Sites",
    "Theory",
    "barrier",
    "batch_sharpness",
    "effective_depth",
    "equilibrium_rotation",
    "find_sites",
    "gradient_autocorrelation",
    "gradient_noise",
    "gradient_split",
    "hessian",
    "hessian_density",
    "hessian_spectrum",
    "jacobian",
    "jacobian_density",
    "layer_rotation",
    "lesion",
    "lesions",
    "line",
    "linear_probes",
    "nearest_design",
    "normalisation",
    "path_spectrum",
    "plane",
    "pose",
    "principal_path",
    "scale_invariant_weights",
    "shattering",
    "short",
    "signal",
    "state_ranks",
    "state_similarity",
    "step_quality",
    "trajectory",
    "units",
    "untouched",
    "update_sizes",
    "weight_ranks",
    "weights_of",
]
