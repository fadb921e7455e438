"""A symmetric matrix that is known by its products with vectors, and random vectors for it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from skipwise.randomness import generator

Flat = Float[Tensor, " parameters"]


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A symmetric matrix A of ``size`` rows; ``product(v)`` gives A·v, shape ``(size,)``."""

    size: int
    product: Callable[[Flat], Flat]
    dtype: torch.dtype
    device: torch.device

    def rayleigh(self, vector: Flat) -> float:
        """Give ``vᵀAv / vᵀv``: the curvature along v."""
        unit = vector / torch.linalg.vector_norm(vector)
        return torch.dot(unit.double(), self.product(unit).double()).item()


def dense(matrix: Float[Tensor, "size size"]) -> Operator:
    """Take a symmetric matrix that is there as an operator."""
    return Operator(size=len(matrix), product=matrix.mv, dtype=matrix.dtype, device=matrix.device)


def preconditioned(operator: Operator, diagonal: Flat) -> Operator:
    """Give ``P^-½ A P^-½`` with P = diag(d): it has the eigenvalues of P⁻¹A and is symmetric.

    Args:
        operator: A.
        diagonal: d, positive; infinite where a parameter does not move.

    Raises:
        ValueError: If an entry is not positive.
    """
    if not bool((diagonal > 0).all()):
        raise ValueError(
            "a preconditioner must be positive; where the second moment of a gradient is zero it is"
            " the optimiser's epsilon, so give an epsilon above 0"
        )
    root = diagonal.rsqrt().to(operator.dtype)
    return replace(operator, product=lambda vector: root * operator.product(root * vector))


def shifted(operator: Operator, diagonal: Flat | float) -> Operator:
    """Give ``A + diag(d)``: what a weight decay inside the gradient adds to the Hessian."""
    return replace(operator, product=lambda vector: operator.product(vector) + diagonal * vector)


def gaussian_vector(operator: Operator, *key: int | str) -> Flat:
    """Draw a vector of length 1, uniform over directions; the key decides it on every device."""
    drawn = torch.randn(operator.size, generator=generator(*key), dtype=torch.float32)
    drawn = drawn.to(operator.device, operator.dtype)
    return drawn / torch.linalg.vector_norm(drawn)


def sign_vector(operator: Operator, *key: int | str) -> Flat:
    """Draw a vector of independent signs ±1 (Rademacher)."""
    bits = torch.randint(0, 2, (operator.size,), generator=generator(*key))
    return (2 * bits - 1).to(operator.device, operator.dtype)
