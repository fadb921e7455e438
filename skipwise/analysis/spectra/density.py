"""How the eigenvalues of a symmetric matrix are distributed, by stochastic Lanczos quadrature.

For a random v with E vvᵀ = I, ``vᵀf(A)v`` has the mean tr f(A), and m steps of Lanczos from v give
its Gauss quadrature: nodes at the eigenvalues θ_i of T with the weights (first entry of the
eigenvector)², exact for polynomials f up to degree 2m − 1. Averaged over a few v this is the
density of eigenvalues, seen through an instrument of finite resolution.

Source: Golub and Welsch (1969); Ubaru, Chen, Saad (2017), "Fast estimation of tr f(A)"; on networks
Ghorbani, Krishnan, Xiao (2019), Yao et al. (2020).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from skipwise.analysis.spectra.estimate import Estimate, mean_of
from skipwise.analysis.spectra.lanczos import lanczos
from skipwise.analysis.spectra.operator import Operator, sign_vector


@dataclass(frozen=True, kw_only=True)
class Density:
    """Nodes and weights, in float64 on the CPU; the weights of a probe sum to 1.

    Args:
        nodes: Shape ``(probes, steps)``.
        weights: Of the same shape.
        size: How many eigenvalues there are.
    """

    nodes: Float[Tensor, "probes steps"]
    weights: Float[Tensor, "probes steps"]
    size: int

    def moment(self, power: int) -> Estimate:
        """Estimate ``tr A^power / size``; the quadrature is exact up to ``2·steps − 1``."""
        return mean_of((self.weights * self.nodes**power).sum(1).tolist())

    def share_above(self, value: float) -> Estimate:
        """Estimate which part of the eigenvalues lies above a value, at the quadrature's nodes."""
        return mean_of((self.weights * (self.nodes > value)).sum(1).tolist())

    def curve(self, values: Float[Tensor, " values"], width: float) -> Float[Tensor, " values"]:
        """Give the density at some values, each node widened to a normal of this deviation.

        Args:
            values: Where it is wanted.
            width: Deviation, in the units of the eigenvalues; it is the resolution, and hides
                whatever is finer.

        Raises:
            ValueError: If the width is not positive.
        """
        if width <= 0:
            raise ValueError(f"width must be positive, got {width}")
        apart = (values.double()[:, None, None] - self.nodes) / width
        bell = torch.exp(-apart.square() / 2) / (width * (2 * torch.pi) ** 0.5)
        return (bell * self.weights).sum(2).mean(1)


def spectral_density(
    operator: Operator, *, steps: int = 40, probes: int = 4, seed: int = 0
) -> Density:
    """Estimate the density of the eigenvalues from ``steps × probes`` products.

    Args:
        operator: A.
        steps: Of Lanczos for each probe, at most the size.
        probes: Number of random starts.
        seed: Of the starts.

    Raises:
        ValueError: If ``probes`` or ``steps`` is not positive.
    """
    if probes < 1:
        raise ValueError(f"probes must be positive, got {probes}")
    steps = min(steps, operator.size)
    nodes, weights = torch.zeros(2, probes, max(steps, 0), dtype=torch.float64)
    for probe in range(probes):
        start = sign_vector(operator, seed, "density", probe)
        for krylov in lanczos(operator, start, steps, seed=seed):
            here = len(krylov.tridiagonal)
            if here == steps or krylov.remainder == 0.0:  # what would follow has weight 0
                values, vectors = torch.linalg.eigh(krylov.tridiagonal)
                nodes[probe, :here], weights[probe, :here] = values, vectors[0].square()
                break
    return Density(nodes=nodes, weights=weights, size=operator.size)
