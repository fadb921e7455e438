"""Closed forms for singular values of random Jacobians, and quadrature from bidiagonal matrices.

A residual network of many blocks, whose branches have small independent random Jacobians with the
sum c of their mean-square gains, has squared singular values of one universal law: the S-transform
of JJᵀ is ``exp(−c·(1 + 2z))`` and its Green's function solves ``G = (zG − 1)·exp(c·(1 − 2zG))``.
Needs numpy alone.
"""

import math
from dataclasses import dataclass
from typing import final

import numpy as np


@final
@dataclass(frozen=True, kw_only=True)
class Law:
    """Where the singular values of a residual network lie.

    ``smallest`` and ``largest`` are the edges, ``mean`` is E σ², ``ratio`` is E σ⁴/(E σ²)²; the
    mean of log σ is 0.
    """

    smallest: float
    largest: float
    mean: float
    ratio: float


def residual_law(gains: float) -> Law:
    """Give the law for c, the sum of the branches' gains.

    ``λ₊ = (s + 1)/(s − 1)·e^(cs)`` with ``s = √(1 + 2/c)``, ``λ₋ = 1/λ₊``, ``m₁ = e^c``,
    ``m₂/m₁² = 1 + 2c``.

    >>> law = residual_law(1.0)
    >>> round(law.smallest, 6), round(law.largest, 6), round(law.mean, 6), law.ratio
    (0.217729, 4.592867, 2.718282, 3.0)

    Source: Ling, Qiu (2018) and Tarnowski et al. (2019) for the law; edges derived from it.
    """
    if gains <= 0:
        return Law(smallest=1.0, largest=1.0, mean=1.0, ratio=1.0)
    s = math.sqrt(1 + 2 / gains)
    edge = _exponential(gains * s / 2)
    root = math.sqrt((s + 1) / (s - 1)) * edge if edge < math.inf else edge  # s may round to 1
    return Law(smallest=1 / root, largest=root, mean=_exponential(gains), ratio=1 + 2 * gains)


def _exponential(value: float) -> float:
    """Give e^value, infinity where a float holds no more: many plain blocks have such gains."""
    return math.exp(value) if value < 709 else math.inf


def residual_density(squares: np.ndarray, gains: float) -> np.ndarray:
    """Give the density of σ² at these points, ``−Im G/π``.

    With w = zG the equation is ``w = z·(w − 1)·e^(c(1 − 2w))``; Newton's method follows its root
    from far above the real axis, where w = 1 + m₁/z, down to it.

    Args:
        squares: Points σ² > 0.
        gains: c > 0.
    """
    height = 100 * residual_law(gains).largest ** 2
    w = 1 + math.exp(gains) / (squares + 1j * height)
    for level in np.geomspace(height, 1e-9, 600):
        z = squares + 1j * level
        for _ in range(3):
            power = z * np.exp(gains * (1 - 2 * w))
            w = w - (power * (w - 1) - w) / (power * (1 - 2 * gains * (w - 1)) - 1)
    return np.maximum(-(w / squares).imag / math.pi, 0)


def product_edge(factors: int) -> float:
    """Give σ²_max = (L + 1)^(L + 1)/L^L of a product of L Gaussian matrices of variance 1/n.

    >>> [round(product_edge(factors), 5) for factors in (1, 2, 5, 10)]
    [4.0, 6.75, 14.92992, 28.53117]

    Source: the Fuss–Catalan law; its moments are m₁ = 1 and m₂ = L + 1.
    """
    return (factors + 1) ** (factors + 1) / factors**factors


def plain_ratio(layers: int, *, orthogonal: bool = False) -> float:
    """Give ``m₂/m₁²`` of a plain ReLU network at the start: 1 + 2L Gaussian, 1 + L orthogonal.

    Source: Pennington et al. (2017), eq. 22 with μ_k = 1/2.
    """
    return 1 + (1 if orthogonal else 2) * layers


@final
@dataclass(frozen=True, kw_only=True)
class Quadrature:
    """Nodes σ and weights whose sums stand for means over singular values.

    One row for each probe: with m steps the means of σ², σ⁴ … σ^(4m−2) are exact for its vector.
    """

    nodes: tuple[np.ndarray, ...]
    weights: tuple[np.ndarray, ...]

    def mean(self, power: float) -> tuple[float, float]:
        """Give the mean of σ^power and its standard error over probes."""
        each = [float(w @ n**power) for n, w in zip(self.nodes, self.weights, strict=True)]
        return _mean_and_error(each)

    def mean_logarithm(self) -> tuple[float, float]:
        """Give the mean of log σ and its standard error."""
        tiny = np.finfo(float).tiny
        each = [
            float(w @ np.log(np.maximum(n, tiny)))
            for n, w in zip(self.nodes, self.weights, strict=True)
        ]
        return _mean_and_error(each)

    def below(self, values: np.ndarray) -> np.ndarray:
        """Give the share of singular values that are at most each of these."""
        shares = [
            (n[None, :] <= values[:, None]) @ w
            for n, w in zip(self.nodes, self.weights, strict=True)
        ]
        return np.mean(shares, axis=0)

    def density(self, values: np.ndarray, width: float) -> np.ndarray:
        """Give the density of log σ, each node spread as a Gaussian of this width."""
        found = np.zeros(len(values))
        for nodes, weights in zip(self.nodes, self.weights, strict=True):
            apart = (np.log(values)[:, None] - np.log(np.maximum(nodes, 1e-300))[None, :]) / width
            found += np.exp(-(apart**2) / 2) @ weights / (width * math.sqrt(2 * math.pi))
        return found / len(self.nodes)


def quadrature_of(bidiagonals: list[np.ndarray]) -> Quadrature:
    """Read nodes and weights off the bidiagonal matrices of Golub and Kahan, one for each probe.

    The nodes are their singular values, the weights the squares of the first components of the
    right singular vectors.

    Source: Golub, Meurant (2010), "Matrices, moments and quadrature", chapter 6.
    """
    found = [np.linalg.svd(matrix) for matrix in bidiagonals]
    return Quadrature(
        nodes=tuple(values for _, values, _ in found),
        weights=tuple(right[: len(values), 0] ** 2 for _, values, right in found),
    )


def _mean_and_error(each: list[float]) -> tuple[float, float]:
    error = float(np.std(each, ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else math.nan
    return float(np.mean(each)), error
