"""The trace of a symmetric matrix from its products with random signs."""

import torch

from skipwise.analysis.spectra.estimate import Estimate, mean_of
from skipwise.analysis.spectra.operator import Operator, sign_vector


def trace(operator: Operator, *, probes: int = 10, seed: int = 0) -> Estimate:
    """Estimate ``tr A = E vᵀAv`` with independent signs v_i = ±1.

    A sample has the variance ``2 Σ_{i≠j} a_ij²``: none for a diagonal matrix.

    Args:
        operator: A.
        probes: Number of random vectors, one product each; the error falls as ``1/√probes``.
        seed: Of the vectors.

    Raises:
        ValueError: If ``probes`` is not positive.

    Source: Hutchinson (1989), "A stochastic estimator of the trace of the influence matrix".
    """
    if probes < 1:
        raise ValueError(f"probes must be positive, got {probes}")
    samples = []
    for probe in range(probes):
        signs = sign_vector(operator, seed, "trace", probe)
        samples.append(torch.dot(signs.double(), operator.product(signs).double()).item())
    return mean_of(samples)
