"""What follows from formulas alone, beside the digits that were found without this package."""

import math
from collections.abc import Iterable

import numpy as np

from docs.known.oracle import Oracle, exact, known
from skipwise.analysis.depth.meanfield import (
    BATCH_NORM_FACTOR,
    RELU,
    TANH,
    VARIANCE_STEP,
    batch_norm_backward,
    batch_norm_forward,
    correlations,
    fixed_point,
    forwards,
    gaussian_mean,
    plain_spread,
    residual_tanh,
    scales,
    slope_factor,
    slope_spread,
)
from skipwise.analysis.depth.paths import design_depths
from skipwise.analysis.depth.shattering import plain_likeness, residual_likeness
from skipwise.analysis.depth.spectrum import plain_ratio, product_edge, residual_law

COSINES = {
    1: "0.318310",
    2: "0.493731",
    3: "0.604826",
    5: "0.735946",
    10: "0.871536",
    50: "0.987862",
    100: "0.996423",
}
LIKENESS = {
    1: "0.500000",
    2: "0.301558",
    3: "0.200345",
    5: "0.104559",
    10: "0.0336522",
    50: "9.1202e-4",
    100: "1.44122e-4",
}
LAWS = {
    0.25: ("0.485987", "2.057669", "4.234000", "1.284025"),
    0.5: ("0.353374", "2.829864", "8.008133", "1.648721"),
    1.0: ("0.217729", "4.592867", "21.094423", "2.718282"),
    2.0: ("0.100702", "9.930265", "98.610160", "7.389056"),
}


def plain_layers() -> Iterable[Oracle]:
    """Give fixed points, Gaussian means, and what plain ReLU networks make of moments."""
    for weights, biases, moment, factor, depth in (
        (1.5, 0.05, "0.418037", "0.938636", "15.791"),
        (2.0, 0.0, "0.617965", "1.105529", "9.968"),
        (4.0, 0.05, "2.195494", "1.342402", ""),
        (0.9, 0.0, "0.000000", "0.900000", "9.4912"),
    ):
        name, star = f"tanh, sw² {weights:g}, sb² {biases:g}", fixed_point(TANH, weights, biases)
        yield known(f"{name}: q*", star.moment, moment)
        yield known(f"{name}: χ", star.factor, factor)
        if depth:
            yield known(f"{name}: depth of the gradient", star.gradient_depth, depth)
    yield exact("tanh, sw² 1: χ at q = 0, critical", slope_factor(0.0, TANH, 1.0), 1)
    yield known("E tanh²(z)", gaussian_mean(lambda z: np.tanh(z) ** 2), "0.394294")
    yield known("E tanh'²(z)", slope_factor(1.0, TANH, 1.0), "0.464403")
    for weights in (2.0, 4.5):
        found = slope_factor(1.0, RELU, weights)
        yield exact(f"ReLU, sw² {weights:g}: χ = sw²/2", found, weights / 2)
    forward, backward = (of([10]) ** 2 for of in (plain_spread, slope_spread))
    finite = "He-ReLU, width 10, 5 layers: E(q_L/q₀)² from the spread of a layer"
    yield exact(finite, (1 + forward) ** 5, 7.59375, 1e-6)
    yield exact("the same of ‖g₀‖²/‖g_L‖²", (1 + backward) ** 5, 7.59375, 1e-6)
    spread, name = plain_spread([64] * 32), "He-ReLU, width 64, 32 layers: deviation of log q_L"
    yield exact(f"{name}, √(5 Σ 1/n)", spread, math.sqrt(2.5), 1e-6)


def cosines() -> Iterable[Oracle]:
    """Give the cosine of two inputs that are at right angles before the first layer."""
    chain = correlations(0.0, [1.0] * 100, skip=False)
    for layers, digits in COSINES.items():
        yield known(f"plain ReLU, {layers} layers: cosine of two inputs", chain[layers], digits)
    for design, blocks, digits in (
        ("unscaled", 10, "0.70756"),
        ("unscaled", 100, "0.98709"),
        ("1/√L", 10, "0.23925"),
        ("1/√L", 100, "0.25231"),
    ):
        found = correlations(0.0, scales(design, blocks), skip=True)[-1]
        yield known(f"residual, {design}, {blocks} blocks: cosine of two inputs", found, digits)


def growths() -> Iterable[Oracle]:
    """Give ``q_L/q₀ = ‖g₀‖²/‖g_L‖²`` of the residual designs."""
    for design, blocks, digits in (
        ("unscaled", 10, "1024.0"),
        ("1/√L", 10, "2.59374"),
        ("1/√L", 18, "2.64643"),
        ("1/√L", 54, "2.69353"),
        ("1/√L", 100, "2.70481"),
        ("1/L", 100, "1.01005"),
        ("decreasing", 10, "6.8457"),
        ("decreasing", 54, "8.0999"),
        ("identity", 54, "1.00000"),
    ):
        found = forwards([1 + scale for scale in scales(design, blocks)])[-1]
        yield known(f"residual, {design}: growth over {blocks} blocks", found, digits)
    for blocks, digits in ((1000, "1.0836"), (5000, "1.0795")):
        rate = math.log(residual_tanh(1.0, blocks).gradients[0]) / math.sqrt(blocks)
        yield known(f"tanh residual: log ‖g₀‖²/√L at L = {blocks}", rate, digits)


def batch_norm() -> Iterable[Oracle]:
    """Give the factors and steps of BatchNorm, and the products of gradients."""
    yield known("plain, BatchNorm–ReLU: ‖g‖² a layer", BATCH_NORM_FACTOR, "1.466942")
    yield known("plain, BatchNorm–ReLU: ‖g‖ a layer", math.sqrt(BATCH_NORM_FACTOR), "1.211174")
    yield exact(
        "BatchNorm residual: second moment after 9 blocks", batch_norm_forward(1, 9)[-1], 10
    )
    yield known("BatchNorm residual: channel variance a block", VARIANCE_STEP, "0.681690")
    yield known("BatchNorm residual: channel mean square a block", 1 - VARIANCE_STEP, "0.318310")
    for layers, blocks, digits in (
        (1, 9, "15.21"),
        (1, 18, "37.25"),
        (1, 40, "111.9"),
        (1, 54, "171.2"),
        (2, 9, "40.85"),
        (2, 18, "147.6"),
        (2, 54, "1350"),
    ):
        found = batch_norm_backward(1.0, blocks, layers)[0]
        yield known(f"BatchNorm residual, k = {layers}: ‖g₀‖² over {blocks} blocks", found, digits)
    yield known(
        "gain that keeps the variance through ReLU", math.sqrt(2 / VARIANCE_STEP), "1.712859"
    )


def laws() -> Iterable[Oracle]:
    """Give the singular values of products and of residual networks."""
    for gains, (smallest, largest, condition, mean) in LAWS.items():
        name, law = f"Jacobian law, c = {gains:g}", residual_law(gains)
        yield known(f"{name}: σ₋", law.smallest, smallest)
        yield known(f"{name}: σ₊", law.largest, largest)
        yield known(f"{name}: condition σ₊/σ₋", law.largest / law.smallest, condition)
        yield known(f"{name}: m₁", law.mean, mean)
        yield exact(f"{name}: m₂/m₁²", law.ratio, 1 + 2 * gains)
    still = residual_law(0.0)
    yield exact("Jacobian law, c = 0: σ₋", still.smallest, 1, 0)
    yield exact("Jacobian law, c = 0: σ₊", still.largest, 1, 0)
    for factors, digits in ((1, "4.00000"), (2, "6.75000"), (5, "14.92992"), (10, "28.5312")):
        found = product_edge(factors)
        yield known(f"product of Gaussian matrices, L = {factors}: σ²₊", found, digits)
    yield exact("plain He-ReLU, Gaussian, 10 layers: m₂/m₁²", plain_ratio(10), 21)
    yield exact(
        "plain He-ReLU, orthogonal, 10 layers: m₂/m₁²", plain_ratio(10, orthogonal=True), 11
    )


def likenesses() -> Iterable[Oracle]:
    """Give how alike the gradients of two inputs stay."""
    for layers, digits in LIKENESS.items():
        found = plain_likeness(layers)
        yield known(f"plain ReLU, {layers} layers: likeness of gradients", found, digits)
    quarter = residual_likeness([1.0] * 10, both=0.25)
    yield exact("residual, a quarter active, a = 1, 10 blocks: likeness", quarter, 0.75**10)
    slow = residual_likeness([1 / block for block in range(1, 101)], both=0.25)
    gammas = math.lgamma(101.5) - math.lgamma(1.5) - math.lgamma(102)  # Π (l + ½)/(l + 1)
    yield exact("residual, a quarter active, a = 1/l, 100 blocks: likeness", slow, math.exp(gammas))


def depths() -> Iterable[Oracle]:
    """Give the effective depths of the designs."""
    for design, blocks, expected in (
        ("unscaled", 9, 4.5),
        ("1/√L", 9, 0.9),
        ("1/√L", 54, 54 / 55),
        ("identity", 54, 0.0),
    ):
        found = design_depths(blocks)[design]
        yield exact(f"residual, {design}: effective depth of {blocks} blocks", found, expected)
    for blocks, digits in (
        (9, "2.260"),
        (18, "3.111"),
        (27, "3.647"),
        (54, "4.601"),
        (100, "5.476"),
    ):
        found = design_depths(blocks)["BatchNorm"]
        yield known(f"BatchNorm residual: effective depth of {blocks} blocks", found, digits)


PARTS = (plain_layers, cosines, growths, batch_norm, laws, likenesses, depths)
