"""Singular values of random Jacobians, beside the laws of infinite width."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import nn

from docs.known.oracle import Oracle, averaged, estimated
from skipwise.analysis import find_sites, pose, untouched
from skipwise.analysis.depth.jacobian import singular_values
from skipwise.analysis.depth.spectrum import Quadrature
from skipwise.analysis.forward import watched_pass
from skipwise.analysis.spectra import Estimate, jackknifed
from skipwise.connections import Additive
from skipwise.networks import Residual
from tests.analysis.depth.test_jacobian import Linear, deep
from tests.analysis.models import Stack, along, residual_stack

WIDTH, BLOCKS = 160, 40
PLAIN_WIDTH, LAYERS = 200, 10
GAIN = 1 / BLOCKS  # of a branch, so that their sum is 1


def spectra(
    make: Callable[[int], nn.Module], width: int, *, networks: int, probes: int, steps: int
) -> list[Quadrature]:
    """Measure the Jacobian of all blocks together, of networks drawn anew."""
    found = []
    for seed in range(networks):
        noise = torch.Generator().manual_seed(1000 + seed)  # not the numbers of the weights
        x = torch.randn(1, width, generator=noise)
        problem = pose(make(seed), (x, x), along)
        with untouched(problem.model):
            visits = watched_pass(problem, find_sites(problem.model)).visits
            ends = visits[0].start, visits[-1].end
            found.append(singular_values(*ends, probes=probes, steps=steps, seed=seed))
    return found


def extremes(found: Sequence[Quadrature]) -> tuple[list[float], list[float]]:
    """Give the smallest and the largest singular value of each network."""
    nodes = [np.concatenate(one.nodes) for one in found]
    return [float(each.min()) for each in nodes], [float(each.max()) for each in nodes]


def means(found: Sequence[Quadrature], power: int) -> list[float]:
    """Give the mean of σ^power of each network."""
    return [one.mean(power)[0] for one in found]


def logarithms(found: Sequence[Quadrature]) -> list[float]:
    """Give the mean of log σ of each network."""
    return [one.mean_logarithm()[0] for one in found]


def ratio(found: Sequence[Quadrature]) -> Estimate:
    """Give m₂/m₁² of the means over networks: that of each would be biased by its few probes."""
    squares, fourths = (np.array(means(found, power)) for power in (2, 4))
    left_out = [
        float(np.delete(fourths, n).mean() / np.delete(squares, n).mean() ** 2)
        for n in range(len(found))
    ]
    return jackknifed(float(fourths.mean() / squares.mean() ** 2), left_out)


def residual_networks(networks: int = 10) -> Iterable[Oracle]:
    """Give the law where it holds: at finite depth m₁ = (1 + 1/L)^L exactly."""
    scale, edge = Additive(scale=math.sqrt(GAIN)), 1 / BLOCKS + 2 * WIDTH ** (-2 / 3)
    for kind, make, power in (
        ("linear", lambda seed: deep(WIDTH, BLOCKS, seed=seed), 1),
        ("two-layer", lambda seed: residual_stack(WIDTH, BLOCKS, scale, seed), 3),
    ):
        name = f"{kind} residual, c = 1, width {WIDTH}, {BLOCKS} blocks"
        found = spectra(make, WIDTH, networks=networks, probes=1, steps=60)
        many = spectra(make, WIDTH, networks=networks, probes=24, steps=2)
        smallest, largest = extremes(found)
        yield averaged(f"{name}: σ₋", smallest, 0.217729, 0.217729 * edge)
        yield averaged(f"{name}: σ₊", largest, 4.592867, 4.592867 * edge)
        yield averaged(f"{name}: m₁", means(many, 2), (1 + GAIN) ** BLOCKS)
        # A block adds (2g + p·g²)/(1 + g)² to m₂/m₁²: p = 1 for a matrix, 3 for W₂·ReLU·W₁.
        expected = 1 + BLOCKS * (2 * GAIN + power * GAIN**2) / (1 + GAIN) ** 2
        yield estimated(f"{name}: m₂/m₁²", ratio(many), expected, 2 * expected / WIDTH)
        yield averaged(f"{name}: mean of log σ", logarithms(found), 0, 1 / WIDTH)


def where_the_law_fails(networks: int = 10) -> Iterable[Oracle]:
    """Give what a single layer of ReLU in the branch, before or behind the matrix, changes."""
    name = f"x + W·ReLU(x), c = 1, width {WIDTH}, {BLOCKS} blocks"
    found = spectra(
        lambda seed: deep(WIDTH, BLOCKS, bent=True, seed=seed),
        WIDTH,
        networks=networks,
        probes=24,
        steps=2,
    )
    yield averaged(f"{name}: m₁", means(found, 2), (1 + GAIN) ** BLOCKS)
    yield estimated(f"{name}: m₂/m₁², 3 by the law", ratio(found), 3.575)
    name = f"x + ReLU(W·x), c = 1, width {WIDTH}, {BLOCKS} blocks"
    found = spectra(rectified, WIDTH, networks=networks, probes=1, steps=60)
    yield averaged(f"{name}: σ₊, 4.59 by the law", extremes(found)[1], 29)
    yield averaged(f"{name}: mean of log σ", logarithms(found), 0, math.log(29) / WIDTH)


def rectified(seed: int) -> nn.Module:
    """Make the residual network whose branches end in ReLU."""
    torch.manual_seed(seed)
    parts = (Linear(WIDTH, 2 * GAIN) for _ in range(BLOCKS))
    return Stack(*(Residual(nn.Sequential(part, nn.ReLU())) for part in parts))


def plain_networks(networks: int = 12) -> Iterable[Oracle]:
    """Give products of matrices, and of He-ReLU layers."""

    def drawn(make: Callable[[int], nn.Module]) -> list[Quadrature]:
        return spectra(make, PLAIN_WIDTH, networks=networks, probes=32, steps=2)

    found = drawn(lambda seed: orthogonal(seed, 1.0, bent=False))
    for what, values in zip(("σ₋", "σ₊"), extremes(found), strict=True):
        yield averaged(f"product of {LAYERS} orthogonal matrices: {what}", values, 1, 1e-5)
    found = drawn(lambda seed: gaussian(seed, 5, 1.0, bent=False))
    name = f"product of 5 Gaussian matrices of width {PLAIN_WIDTH}"
    yield averaged(f"{name}: m₁", means(found, 2), 1)
    yield averaged(f"{name}: m₂", means(found, 4), 6, 6 * 5 / PLAIN_WIDTH)
    for kind, make, expected in (
        ("Gaussian", lambda seed: gaussian(seed, LAYERS, 2.0, bent=True), 1 + 2 * LAYERS),
        ("orthogonal", lambda seed: orthogonal(seed, 2.0, bent=True), 1 + LAYERS),
    ):
        found, name = drawn(make), f"He-ReLU, {kind}, width {PLAIN_WIDTH}, {LAYERS} layers"
        yield averaged(f"{name}: m₁", means(found, 2), 1)
        ratios = np.array(means(found, 4)) / np.array(means(found, 2)) ** 2
        beyond = 2 * LAYERS * (LAYERS - 1) / PLAIN_WIDTH  # the next order, of Gaussian layers
        yield averaged(f"{name}: m₂/m₁²", ratios.tolist(), expected, beyond)


def gaussian(seed: int, layers: int, gain: float, *, bent: bool) -> nn.Module:
    """Make a plain network of independent weights."""
    torch.manual_seed(seed)
    return Stack(*(Linear(PLAIN_WIDTH, gain, bent=bent) for _ in range(layers)))


def orthogonal(seed: int, gain: float, *, bent: bool) -> nn.Module:
    """Make a plain network of orthogonal weights."""
    model = gaussian(seed, LAYERS, gain, bent=bent)
    for weight in model.parameters():
        nn.init.orthogonal_(weight, gain=math.sqrt(gain))
    return model


PARTS = (plain_networks, residual_networks, where_the_law_fails)
