"""Eigenvalues at both ends of a symmetric matrix, from products with vectors.

After m products the Lanczos vectors span the Krylov space of the start, and on it the matrix is
tridiagonal, T; its eigenvalues (Ritz values) approach the extreme ones of A from inside. Rounding
lets the vectors lose their orthogonality, and then copies of eigenvalues appear; so each new vector
is made orthogonal to all before it, twice.

Source: Lanczos (1950), "An iteration method for the solution of the eigenvalue problem"; Parlett
(1998), "The symmetric eigenvalue problem", chapter 13: the bounds, and why twice is enough.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from skipwise.analysis.spectra.operator import Flat, Operator, gaussian_vector


@dataclass(frozen=True, kw_only=True)
class Krylov:
    """What m steps found: ``A·Qᵀ = Qᵀ·T + β·q·e_mᵀ``.

    Args:
        basis: Q, orthonormal rows, shape ``(steps, size)``.
        tridiagonal: T in float64, shape ``(steps, steps)``, on the CPU.
        remainder: β, which is 0 when the space is closed under A.
    """

    basis: Float[Tensor, "steps size"]
    tridiagonal: Float[Tensor, "steps steps"]
    remainder: float


def lanczos(operator: Operator, start: Flat, steps: int, *, seed: int = 0) -> Iterator[Krylov]:
    """Yield the Krylov space after each of at most ``steps`` products.

    Where the space closes (β = 0 to rounding) it goes on from a new random direction orthogonal to
    it, so that an eigenvalue of several vectors is found as often as the steps allow. It ends early
    when the whole space is spanned.

    Args:
        operator: A.
        start: First direction, any length but 0.
        steps: Most products to take, one each; ``steps × size`` numbers are kept.
        seed: Of the directions after a closed space.

    Raises:
        ValueError: If ``steps`` is not positive or a product is not finite.
    """
    if steps < 1:
        raise ValueError(f"steps must be positive, got {steps}")
    steps = min(steps, operator.size)
    basis = torch.empty(steps, operator.size, dtype=operator.dtype, device=operator.device)
    tridiagonal = torch.zeros(steps + 1, steps + 1, dtype=torch.float64)
    basis[0] = start / torch.linalg.vector_norm(start)
    scale = 0.0
    for step in range(steps):
        image = operator.product(basis[step])
        along = torch.dot(basis[step].double(), image.double()).item()
        image = _orthogonal(image, basis[: step + 1])
        beta = torch.linalg.vector_norm(image).item()
        if not torch.isfinite(torch.tensor([along, beta])).all():
            raise ValueError(
                "a product of the Hessian with a vector is not finite: the loss or its gradients"
                " overflow at these weights; look for the first layer whose output is not finite"
            )
        scale = max(scale, abs(along), beta)
        closed = beta <= 10 * torch.finfo(operator.dtype).eps * scale
        tridiagonal[step, step] = along
        beta = 0.0 if closed else beta
        tridiagonal[step, step + 1] = tridiagonal[step + 1, step] = beta
        here = step + 1
        yield Krylov(
            basis=basis[:here], tridiagonal=tridiagonal[:here, :here].clone(), remainder=beta
        )
        if here < steps:
            if closed:
                image = gaussian_vector(operator, seed, "restart", step)
                image = _orthogonal(image, basis[:here])
            basis[here] = image / torch.linalg.vector_norm(image)


def _orthogonal(vector: Flat, basis: Float[Tensor, "steps size"]) -> Flat:
    for _ in range(2):
        vector = vector - basis.mT.mv(basis.mv(vector))
    return vector


@dataclass(frozen=True, kw_only=True)
class Extremes:
    """Eigenvalues at both ends.

    Args:
        values: The largest first, in the sense of the sign, shape ``(count,)``.
        bounds: Within so much of each value lies an eigenvalue; the error itself is usually of the
            order of the bound's square.
        vectors: Their directions, unit length, shape ``(count, size)``.
        lowest: The smallest eigenvalue, negative where the loss curves downwards.
        products: How many products were taken.
        converged: Whether all bounds reached the tolerance.
    """

    values: tuple[float, ...]
    bounds: tuple[float, ...]
    vectors: Float[Tensor, "count size"]
    lowest: float
    products: int
    converged: bool

    @property
    def negativity(self) -> float:
        """The lowest over the largest: 0 for a bowl, −1 where it bends down as much as up."""
        return self.lowest / self.values[0] if self.values[0] > 0 else math.nan


def extreme_eigenvalues(
    operator: Operator, *, count: int = 1, steps: int = 60, tolerance: float = 1e-3, seed: int = 0
) -> Extremes:
    """Find the ``count`` largest eigenvalues and the smallest one.

    A Ritz pair (θ, s) of T has ``‖A·y − θ·y‖ = |β·s_m|``, and an eigenvalue lies within that of θ.
    It stops when this is at most ``tolerance · max|θ|`` for all that are asked for. An eigenvalue
    to which the start is orthogonal cannot be seen, which for a random start does not happen.

    Args:
        operator: A.
        count: How many of the largest.
        steps: Most products to take.
        tolerance: Relative to the largest magnitude.
        seed: Of the start.

    Raises:
        ValueError: If there are fewer than ``count`` eigenvalues.
    """
    if not 1 <= count <= operator.size:
        raise ValueError(
            f"a matrix of {operator.size} rows has no {count} eigenvalues; ask for"
            f" 1 to {operator.size}"
        )
    start = gaussian_vector(operator, seed, "lanczos")
    found = None
    for krylov in lanczos(operator, start, max(steps, count), seed=seed):
        made = len(krylov.tridiagonal)
        if made < count:
            continue
        found = _ritz(krylov, count, tolerance)
        if found.converged:
            break
    assert found is not None
    return found


def _ritz(krylov: Krylov, count: int, tolerance: float) -> Extremes:
    values, vectors = torch.linalg.eigh(krylov.tridiagonal)
    bounds = (krylov.remainder * vectors[-1]).abs()
    top = torch.arange(len(values) - 1, len(values) - 1 - count, -1)
    asked = torch.cat([top, torch.zeros(1, dtype=torch.long)])
    return Extremes(
        values=tuple(values[top].tolist()),
        bounds=tuple(bounds[top].tolist()),
        vectors=vectors[:, top].mT.to(krylov.basis) @ krylov.basis,
        lowest=values[0].item(),
        products=len(values),
        converged=bool((bounds[asked] <= tolerance * values.abs().max()).all()),
    )
