"""Curvature and noise of the loss where a network stands.

Takes a model, batches and a loss, gives measurements; puts the model back.
"""

from skipwise.analysis.curvature.gradient import Objective, objective
from skipwise.analysis.curvature.hessian import hessian, hessian_of
from skipwise.analysis.curvature.noise import (
    Noise,
    gradient_noise,
    noise_from_products,
    noise_scale,
    signal_to_noise,
)
from skipwise.analysis.curvature.optimiser import InUse, in_use
from skipwise.analysis.curvature.sharpness import batch_sharpness
from skipwise.analysis.curvature.spectrum import hessian_density, hessian_spectrum
from skipwise.analysis.curvature.stability import Rule, adam_preconditioner
from skipwise.analysis.curvature.step import Along, step_position, step_quality

__all__ = [
    "Along",
    "InUse",
    "Noise",
    "Objective",
    "Rule",
    "adam_preconditioner",
    "batch_sharpness",
    "gradient_noise",
    "hessian",
    "hessian_density",
    "hessian_of",
    "hessian_spectrum",
    "in_use",
    "noise_from_products",
    "noise_scale",
    "objective",
    "signal_to_noise",
    "step_position",
    "step_quality",
]
