"""Mean-field theory: how second moments, correlations and gradients pass wide random layers.

A layer is ``W·φ(h)`` with ``n·Var(W) = sw²`` and bias variance ``sb²``; in the limit of infinite
width its outputs are Gaussian with variance q, and everything is an expectation over one or two
Gaussians. All of it needs numpy alone. Sources: Poole et al. (2016), Schoenholz et al. (2017) for
plain networks; Cho, Saul (2009) for ReLU's correlations; De, Smith (2020), Yang, Schoenholz (2017)
and Yang et al. (2019) for residual networks and BatchNorm.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]
GRID = (np.arange(-1000, 1000) + 0.5) / 100  # no point on ReLU's kink; exact to rounding if smooth
DENSITY = np.exp(-(GRID**2) / 2) * (GRID[1] - GRID[0]) / math.sqrt(2 * math.pi)
WIDE = 100.0  # the variance above which the points must lie closer at 0
WALK_CELLS = 2000
BATCH_NORM_FACTOR = math.pi / (math.pi - 1)  # of the squared gradient, for each BatchNorm–ReLU
VARIANCE_STEP = 1 - 1 / math.pi  # of the channel variance, for each BatchNorm–ReLU–W block
MEAN_STEP = 1 / math.pi  # of the squared channel mean
RELU_SPREAD = 5.0  # E φ⁴/(E φ²)² − 1 of ReLU


@final
@dataclass(frozen=True, kw_only=True)
class Activation:
    """φ with its first two derivatives; ReLU's second is left out, a point mass at zero."""

    name: str
    value: Function
    slope: Function
    bend: Function


RELU = Activation(
    name="ReLU",
    value=lambda z: np.maximum(z, 0),
    slope=lambda z: (z > 0).astype(float),
    bend=np.zeros_like,
)
TANH = Activation(
    name="tanh",
    value=np.tanh,
    slope=lambda z: 1 - np.tanh(z) ** 2,
    bend=lambda z: -2 * np.tanh(z) * (1 - np.tanh(z) ** 2),
)
SIGMOID = Activation(
    name="sigmoid",
    value=lambda z: 1 / (1 + np.exp(-z)),
    slope=lambda z: 1 / (2 + 2 * np.cosh(z)),
    bend=lambda z: -np.tanh(z / 2) / (2 + 2 * np.cosh(z)),
)


def gaussian_mean(function: Function, variance: float = 1.0) -> float:
    """Give E f(√variance · z) for a standard Gaussian z.

    >>> round(gaussian_mean(lambda z: np.tanh(z) ** 2), 6)
    0.394294
    """
    points, density = GRID, DENSITY
    if WIDE < variance < math.inf:
        points, density = _stretched(1 / math.sqrt(variance))
    return float(np.sum(function(math.sqrt(variance) * points) * density))


def _stretched(unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Give points ``unit·sinh(u)``, as dense at 0 as f bends there, and the weights of z at them.

    At a large variance f goes from one side to the other between two points of the even grid.
    """
    step = math.asinh(GRID[-1] / unit) * (GRID[1] - GRID[0]) / GRID[-1]
    u = step * (np.arange(len(GRID)) - (len(GRID) - 1) / 2)
    points = unit * np.sinh(u)
    weights = np.exp(-(points**2) / 2) * unit * np.cosh(u) * step / math.sqrt(2 * math.pi)
    return points, weights


def passed_moment_linear(moment: float, weights: float, biases: float = 0.0) -> float:
    """Give ``sw²·m + sb²``, the second moment behind a matrix, from that before it."""
    return weights * moment + biases


def passed_moment(q: float, activation: Activation, weights: float, biases: float = 0.0) -> float:
    """Give ``q' = sw²·E φ(√q z)² + sb²``, the second moment before the next activation."""
    return weights * gaussian_mean(lambda z: activation.value(z) ** 2, q) + biases


def slope_factor(q: float, activation: Activation, weights: float) -> float:
    """Give ``χ = sw²·E φ'(√q z)²``, the factor on the squared gradient at one layer."""
    return weights * gaussian_mean(lambda z: activation.slope(z) ** 2, q)


@final
@dataclass(frozen=True, kw_only=True)
class FixedPoint:
    """Where deep plain networks settle.

    ``moment`` is q*, ``factor`` is χ at q*, ``gradient_depth`` the number of layers 1/|log χ| over
    which the squared gradient changes by e.
    """

    moment: float
    factor: float
    gradient_depth: float


def fixed_point(activation: Activation, weights: float, biases: float = 0.0) -> FixedPoint:
    """Find q* by iterating the map of second moments.

    Source: Schoenholz et al. (2017), eq. 3, 5 and 13.
    """
    q = 1.0
    for _ in range(20_000):
        q, before = passed_moment(q, activation, weights, biases), q
        if abs(q - before) <= 1e-14 * max(q, 1e-300):
            break
    factor = slope_factor(q, activation, weights)
    depth = 1 / abs(math.log(factor)) if factor not in (0.0, 1.0) else math.inf
    return FixedPoint(moment=q, factor=factor, gradient_depth=depth)


def relu_correlation(c: float) -> float:
    """Give the cosine of two inputs after a wide ReLU layer, from the cosine before it.

    ``R(c) = (√(1 − c²) + c·(π − arccos c))/π``.

    >>> round(relu_correlation(0), 6)
    0.31831

    Source: Cho, Saul (2009), eq. 6 with n = 1, normalised.
    """
    c = min(max(c, -1.0), 1.0)
    return (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / math.pi


def correlations(c: float, gains: Sequence[float], *, skip: bool) -> tuple[float, ...]:
    """Follow the cosine of two inputs through blocks of these branch gains.

    ``c' = (c + a·R(c))/(1 + a)`` with a skip, ``c' = R(c)`` without.
    """
    found = [c]
    for gain in gains:
        bent = relu_correlation(found[-1])
        found.append((found[-1] + gain * bent) / (1 + gain) if skip else bent)
    return tuple(found)


def batch_norm_forward(start: float, blocks: int, step: float = 1.0) -> tuple[float, ...]:
    """Give the moment before and after each block of BatchNorm–ReLU–W: it grows by one step.

    The second moment grows by 1 a block, the channel variance by 1 − 1/π, the squared channel mean
    by 1/π, since ReLU's outputs have a mean that is not removed from F.

    Source: De, Smith (2020), section 3, for the second moment.
    """
    return tuple(start + step * block for block in range(blocks + 1))


def batch_norm_backward(start: float, blocks: int, layers: int = 1) -> tuple[float, ...]:
    """Give ``E‖g_l‖²/‖g_L‖²`` at l = 0 … L for a residual network with BatchNorm in its branches.

    ``Π_{j ≥ l} (1 + (π/(π−1))^(k−1) / (v₀ + (1 − 1/π)·j))`` with k layers BatchNorm–ReLU–W in the
    branch and v₀ the channel variance at the start.
    """
    factors = [
        1 + BATCH_NORM_FACTOR ** (layers - 1) / (start + VARIANCE_STEP * block)
        for block in range(blocks)
    ]
    return backwards(factors)


def forwards(factors: Sequence[float]) -> tuple[float, ...]:
    """Give the products of the first 0, 1, …, L factors."""
    return tuple(float(x) for x in np.cumprod([1.0, *factors]))


def backwards(factors: Sequence[float]) -> tuple[float, ...]:
    """Give the products of the last L, L − 1, …, 0 factors."""
    return tuple(reversed(forwards(list(reversed(factors)))))


def scales(name: str, blocks: int) -> tuple[float, ...]:
    """Give the squared scales of the branches of a design, block by block.

    ``unscaled``: 1; ``1/√L``: 1/L; ``1/L``: 1/L²; ``decreasing``: 1/(l·ln²(l+1)), l from 1;
    ``identity``: 0 (ReZero, SkipInit, zero γ, Fixup at the start).

    Source: De, Smith (2020); Marion et al. (2025) for 1/√L as the only scale at which neither the
    branches nor the stream win; Hayou et al. (2021) for the decreasing one.
    """
    numbers = range(1, blocks + 1)
    return {
        "unscaled": tuple(1.0 for _ in numbers),
        "1/√L": tuple(1 / blocks for _ in numbers),
        "1/L": tuple(1 / blocks**2 for _ in numbers),
        "decreasing": tuple(1 / (n * math.log(n + 1) ** 2) for n in numbers),
        "identity": tuple(0.0 for _ in numbers),
    }[name]


@final
@dataclass(frozen=True, kw_only=True)
class ResidualTanh:
    """The curves of ``x + V·tanh(W·x + b)``: second moments, squared gradients to the end."""

    moments: tuple[float, ...]
    gradients: tuple[float, ...]


def tanh_block(
    p: float, *, inner: float, outer: float, bias: float = 0.0, outer_bias: float = 0.0
) -> tuple[float, float]:
    """Give p behind ``x + V·tanh(W·x + b) + a``, and the factor on the squared gradient.

    ``q = sw²p + sb²``, ``p' = p + sv²·E tanh(√q z)² + sa²``; ``1 + sv²sw²·E tanh'(√q z)²``.

    Args:
        p: Before it.
        inner: sw².
        outer: sv².
        bias: sb².
        outer_bias: sa².

    Source: Yang, Schoenholz (2017), theorems on the full residual network with tanh.
    """
    q = passed_moment_linear(p, inner, bias)
    factor = 1 + outer * slope_factor(q, TANH, inner)
    return p + passed_moment(q, TANH, outer, outer_bias), factor


def residual_tanh(
    start: float, blocks: int, *, inner: float = 1.0, outer: float = 1.0, bias: float = 0.0
) -> ResidualTanh:
    """Follow :func:`tanh_block` through L blocks.

    For p that grows by sv² a block, ``log(g_0/g_L) ~ A√L`` with ``A = (4/3)√(2/π)·sv·sw``.

    Args:
        start: p at the first block.
        blocks: L.
        inner: sw².
        outer: sv².
        bias: sb².
    """
    moments, factors = [start], []
    for _ in range(blocks):
        p, factor = tanh_block(moments[-1], inner=inner, outer=outer, bias=bias)
        moments.append(p)
        factors.append(factor)
    return ResidualTanh(moments=tuple(moments), gradients=backwards(factors))


def rectified_sums(moment: float, added: Sequence[float]) -> tuple[float, ...]:
    """Follow E x² through ``x' = ReLU(x + z)`` with Gaussian z, independent of x, of E z² = added.

    x begins as the ReLU of a Gaussian; its law is followed on a grid. There is no closed form, but
    the bound ``E x'² ≤ E x² + E z²``, since ReLU(y)² ≤ y².

    >>> [round(q, 3) for q in rectified_sums(0.5, [1.0, 1.0])]
    [0.5, 1.159, 1.884]

    Args:
        moment: E x² at the start.
        added: E z² of each block.
    """
    top = 8 * math.sqrt(2 * moment + sum(added)) if moment > 0 else math.nan
    if not math.isfinite(top):
        return (moment, *[math.nan] * len(added))
    step = top / WALK_CELLS
    x = step * np.arange(WALK_CELLS)
    mass = np.exp(-(x**2) / (4 * moment)) * step / math.sqrt(4 * math.pi * moment)
    mass[0] += 1 - mass.sum()
    moments, waiting = [moment], 0.0
    for variance in added:
        waiting += variance
        if waiting < (2 * step) ** 2:  # too little to be seen on the grid: as the bound has it
            moments.append(moments[-1] + variance)
            continue
        reach = math.ceil(8 * math.sqrt(waiting) / step)
        kernel = np.exp(-((step * np.arange(-reach, reach + 1)) ** 2) / (2 * waiting))
        spread = np.convolve(mass, kernel / kernel.sum())
        mass, waiting = spread[reach : reach + WALK_CELLS], 0.0
        mass[0] += spread[:reach].sum()
        moments.append(float(np.sum(mass * x**2)))
    return tuple(moments)


def plain_spread(widths: Sequence[int], activation: Activation = RELU, q: float = 1.0) -> float:
    """Give the standard deviation of log‖h‖² behind plain layers of these widths, √(c·Σ1/n).

    ``c = E φ⁴/(E φ²)² − 1`` is 5 for ReLU, forward and backward.

    Source: Hanin (2018), theorem 3, for its order; c from the moments of one layer.
    """
    return math.sqrt(layer_spread(activation, q) * sum(1 / n for n in widths))


def layer_spread(activation: Activation, q: float) -> float:
    """Give ``E φ⁴/(E φ²)² − 1``, n times the variance that a layer adds to log‖h‖²."""
    fourth = gaussian_mean(lambda z: activation.value(z) ** 4, q)
    second = gaussian_mean(lambda z: activation.value(z) ** 2, q)
    return fourth / second**2 - 1


def slope_spread(widths: Sequence[int], activation: Activation = RELU, q: float = 1.0) -> float:
    """Give the standard deviation of log‖g‖² behind plain layers of these widths, going back.

    ``Wᵀ·g`` is Gaussian and independent of φ′, so a layer adds ``(3·E φ'⁴/(E φ'²)² − 1)/n``: 5/n
    for ReLU as forward, 2/n for linear layers.

    >>> round(slope_spread([64]) ** 2 * 64, 6)
    5.0
    """
    return math.sqrt(back_spread(activation, q) * sum(1 / n for n in widths))


def back_spread(activation: Activation, q: float) -> float:
    """Give ``3·E φ'⁴/(E φ'²)² − 1``, n times the variance that a layer adds to log‖g‖²."""
    fourth = gaussian_mean(lambda z: activation.slope(z) ** 4, q)
    second = gaussian_mean(lambda z: activation.slope(z) ** 2, q)
    return 3 * fourth / second**2 - 1


def residual_spread(
    gains: Sequence[float], width: int, layers: int = 1, *, hidden: float = RELU_SPREAD
) -> tuple[float, ...]:
    """Give the standard deviation of log‖x_l‖² at l = 0 … L for branches of these gains.

    A block adds ``(4a + a²(c(k−1) + 2))/(n(1 + a)²)`` to the variance: the first term is that of
    the product ⟨x, F⟩, the second that of ‖F‖², whose k − 1 hidden layers give c/n each, 5/n for
    ReLU, and whose last map gives 2/n. An infinite gain is a block that nothing is carried past.
    """
    written = [1 - 1 / (1 + a) for a in gains]  # a/(1 + a)
    steps = [(4 * s * (1 - s) + s * s * (hidden * (layers - 1) + 2)) / width for s in written]
    return tuple(float(x) for x in np.sqrt(np.cumsum([0.0, *steps])))


def crossing_spread(gains: Sequence[float], width: int) -> tuple[float, ...]:
    """Give the part of :func:`residual_spread` that stays where ‖F‖² is measured: ⟨x, F⟩'s.

    ``‖x + F‖² = (1 + a)·‖x‖² + 2⟨x, F⟩`` with the measured a, and ``4a/(n(1 + a)²)`` a block.
    """
    steps = [4 * a / (width * (1 + a) ** 2) for a in gains]
    return tuple(float(x) for x in np.sqrt(np.cumsum([0.0, *steps])))
