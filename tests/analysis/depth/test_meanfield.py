"""Theory of wide random networks against numbers that were found without this package."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from skipwise.analysis.depth.meanfield import (
    BATCH_NORM_FACTOR,
    RELU,
    SIGMOID,
    TANH,
    VARIANCE_STEP,
    backwards,
    batch_norm_backward,
    batch_norm_forward,
    correlations,
    fixed_point,
    forwards,
    gaussian_mean,
    plain_spread,
    relu_correlation,
    residual_spread,
    residual_tanh,
    scales,
    slope_factor,
    slope_spread,
)


@pytest.mark.parametrize(
    ("weights", "biases", "moment", "factor", "depth"),
    [
        (1.5, 0.05, 0.418037, 0.938636, 15.791),
        (2.0, 0.0, 0.617965, 1.105529, 9.968),
        (4.0, 0.05, 2.195494, 1.342402, None),
        (0.9, 0.0, 0.0, 0.9, 9.4912),
    ],
)
def test_fixed_points_of_tanh(weights, biases, moment, factor, depth):
    found = fixed_point(TANH, weights, biases)
    assert found.moment == pytest.approx(moment, abs=5e-7)
    assert found.factor == pytest.approx(factor, abs=5e-7)
    if depth is not None:
        assert found.gradient_depth == pytest.approx(depth, abs=5e-4)


def test_expectations_of_tanh_and_relu():
    assert gaussian_mean(lambda z: np.tanh(z) ** 2) == pytest.approx(0.394294, abs=5e-7)
    assert slope_factor(1.0, TANH, 1.0) == pytest.approx(0.464403, abs=5e-7)
    for weights in (1.0, 2.0, 4.5):
        assert slope_factor(0.7, RELU, weights) == pytest.approx(weights / 2, rel=1e-12)
    critical = fixed_point(RELU, 2.0)
    assert critical.moment == pytest.approx(1.0, rel=1e-6)
    assert critical.factor == pytest.approx(1.0, rel=1e-12)
    slope = gaussian_mean(TANH.slope) - gaussian_mean(lambda z: z * np.tanh(z))  # Stein's lemma
    assert slope == pytest.approx(0, abs=1e-12)
    bend = gaussian_mean(lambda z: TANH.bend(z) * z) - gaussian_mean(
        lambda z: TANH.slope(z) * (z * z - 1)
    )
    assert bend == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("variance", [50.0, 200.0, 5e3, 1e12])
def test_gaussian_means_hold_however_wide_the_gaussian(variance: float):
    """At 5000, tanh passes from −1 to 1 within two steps of an even grid."""
    root = math.sqrt(variance)
    slope, _ = quad(lambda h: np.cosh(h) ** -4 * norm.pdf(h, scale=root), -40, 40, epsabs=0)
    assert slope_factor(variance, TANH, 1.0) == pytest.approx(slope, rel=1e-8)
    assert gaussian_mean(RELU.value, variance) == pytest.approx(
        math.sqrt(variance / (2 * math.pi)), rel=1e-5
    )
    assert gaussian_mean(np.ones_like, variance) == pytest.approx(1, rel=1e-12)


def test_correlations_of_relu_networks():
    plain = correlations(0.0, [1.0] * 100, skip=False)
    wanted = {
        1: 0.318310,
        2: 0.493731,
        3: 0.604826,
        5: 0.735946,
        10: 0.871536,
        50: 0.987862,
        100: 0.996423,
    }
    for layers, cosine in wanted.items():
        assert plain[layers] == pytest.approx(cosine, abs=5e-7)
    for blocks, unscaled, scaled in ((100, 0.98709, 0.25231), (10, 0.70756, 0.23925)):
        assert correlations(0.0, scales("unscaled", blocks), skip=True)[-1] == pytest.approx(
            unscaled, abs=5e-6
        )
        assert correlations(0.0, scales("1/√L", blocks), skip=True)[-1] == pytest.approx(
            scaled, abs=5e-6
        )
    assert (relu_correlation(1.0), relu_correlation(-1.0)) == pytest.approx((1.0, 0.0))


@pytest.mark.parametrize(
    ("design", "blocks", "wanted"),
    [
        ("unscaled", 10, 1024.0),
        ("1/√L", 10, 2.59374), ("1/√L", 18, 2.64643), ("1/√L", 54, 2.69353), ("1/√L", 100, 2.70481),
        ("decreasing", 10, 6.8457), ("decreasing", 54, 8.0999),
        ("1/L", 100, 1.01005), ("identity", 54, 1.0),
    ],
)  # fmt: skip
def test_growth_of_residual_designs(design: str, blocks: int, wanted: float):
    factors = [1 + scale for scale in scales(design, blocks)]
    assert forwards(factors)[-1] == pytest.approx(wanted, rel=5e-6)
    assert backwards(factors)[0] == pytest.approx(wanted, rel=5e-6)


def test_backward_products_are_those_of_what_comes_after():
    assert backwards([2.0, 3.0, 5.0]) == (30.0, 15.0, 5.0, 1.0)
    assert forwards([2.0, 3.0, 5.0]) == (1.0, 2.0, 6.0, 30.0)


def test_batch_norm_residual():
    assert pytest.approx(1.466942, abs=5e-7) == BATCH_NORM_FACTOR
    assert math.sqrt(BATCH_NORM_FACTOR) == pytest.approx(1.211174, abs=5e-7)
    assert pytest.approx(0.681690, abs=5e-7) == VARIANCE_STEP
    assert batch_norm_forward(1.0, 3) == (1.0, 2.0, 3.0, 4.0)
    for layers, wanted in (
        (1, {9: 15.21, 18: 37.25, 54: 171.2}),
        (2, {9: 40.85, 18: 147.6, 54: 1350}),
    ):
        for blocks, value in wanted.items():
            assert batch_norm_backward(1.0, blocks, layers)[0] == pytest.approx(value, rel=4e-4)
    assert batch_norm_backward(1.0, 40)[0] == pytest.approx(111.9, rel=5e-4)


@pytest.mark.parametrize(("blocks", "wanted"), [(1000, 1.0836), (5000, 1.0795)])
def test_residual_tanh_grows_as_the_root_of_the_depth(blocks: int, wanted: float):
    found = residual_tanh(1.0, blocks)
    assert math.log(found.gradients[0]) / math.sqrt(blocks) == pytest.approx(wanted, abs=0.01)


def test_spread_of_plain_networks():
    assert plain_spread([64] * 32) == pytest.approx(math.sqrt(5 * 32 / 64), rel=1e-6)


def second_moments(width: int, blocks: int, networks: int, scale: float) -> np.ndarray:
    """Simulate ``x + s·W₂ relu(W₁ x)``: by rotation invariance each map is drawn anew."""
    noise = np.random.default_rng(0)
    x = noise.normal(size=(networks, width))
    logs = []
    start = np.log((x**2).sum(1))
    for _ in range(blocks):
        norm = np.linalg.norm(x, axis=1, keepdims=True)
        hidden = np.maximum(noise.normal(size=x.shape) * norm * math.sqrt(2 / width), 0)
        branch = noise.normal(size=x.shape) * np.linalg.norm(hidden, axis=1, keepdims=True)
        x = x + scale * branch / math.sqrt(width)
        logs.append(np.log((x**2).sum(1)) - start)
    return np.stack(logs)


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_spread_of_residual_networks_against_a_simulation(scale: float):
    width, blocks, networks = 128, 12, 4000
    found = second_moments(width, blocks, networks, scale).std(1)
    wanted = residual_spread([scale**2] * blocks, width, layers=2)[1:]
    np.testing.assert_allclose(found, wanted, rtol=0.08)  # 5 standard errors are 0.056; O(1/n) more


def test_the_sigmoid_has_its_derivatives_and_its_gaussian_means():
    z = np.linspace(-4, 4, 9)
    step = 1e-5
    slope = (SIGMOID.value(z + step) - SIGMOID.value(z - step)) / (2 * step)
    bend = (SIGMOID.slope(z + step) - SIGMOID.slope(z - step)) / (2 * step)
    np.testing.assert_allclose(SIGMOID.slope(z), slope, rtol=1e-8)
    np.testing.assert_allclose(SIGMOID.bend(z), bend, atol=1e-9)
    wanted, _ = quad(lambda x: SIGMOID.slope(np.sqrt(0.3) * x) ** 2 * norm.pdf(x), -12, 12)
    assert slope_factor(0.3, SIGMOID, 2.0) == pytest.approx(2 * wanted, rel=1e-9)


@pytest.mark.parametrize("activation", [RELU, TANH, SIGMOID])
def test_the_backward_spread_is_that_of_simulated_layers(activation):
    width, draws, q = 50, 20_000, 0.8
    noise = np.random.default_rng(0)
    h = math.sqrt(q) * noise.standard_normal((draws, width))
    g = noise.standard_normal((draws, width))
    squared = (activation.slope(h) ** 2 * g**2).sum(1)
    relative = squared.var() / squared.mean() ** 2
    assert slope_spread([width], activation, q) ** 2 == pytest.approx(relative, rel=0.05)
