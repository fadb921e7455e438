"""What happens along the depth of a network: signal, gradient, paths, lesions, Jacobians.

Takes a model, a batch and a loss, gives measurements with the theory of random wide networks.
"""

from skipwise.analysis.depth.gradient_split import gradient_split
from skipwise.analysis.depth.jacobian import jacobian, jacobian_density
from skipwise.analysis.depth.lesions import lesion, lesions
from skipwise.analysis.depth.paths import effective_depth, path_spectrum
from skipwise.analysis.depth.shattering import gradient_autocorrelation, shattering
from skipwise.analysis.depth.signal import nearest_design, signal

__all__ = [
    "effective_depth",
    "gradient_autocorrelation",
    "gradient_split",
    "jacobian",
    "jacobian_density",
    "lesion",
    "lesions",
    "nearest_design",
    "path_spectrum",
    "shattering",
    "signal",
]
