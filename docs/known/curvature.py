"""Curvature, stability, steps and noise of losses that are known in closed form."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from docs.known.oracle import Oracle, averaged, estimated, exact, known
from skipwise import analysis
from skipwise.analysis import Rule
from skipwise.analysis.curvature import (
    Along,
    noise_from_products,
    noise_scale,
    objective,
    signal_to_noise,
    step_position,
)
from skipwise.analysis.spectra import Estimate, dense, spectral_density, trace
from tests.analysis.curvature.problems import (
    NOTHING,
    Product,
    drawn,
    half_squares,
    linear,
    norms,
    product_loss,
    small_batch,
    small_network,
)
from tests.analysis.curvature.test_noise import Mean, half_norm, samples
from tests.analysis.curvature.test_stability import found_limit
from tests.analysis.curvature.test_steps import along, least_squares

ROUNDING = 1e-8


def top(
    model: nn.Module, batch: object, loss: Callable | None = None, *, of: str = "*"
) -> tuple[float, float]:
    """Measure the largest and the lowest eigenvalue."""
    found = analysis.hessian_spectrum(model, batch, loss, probes=0, of=of)
    return found["value"][0], found.figures["lowest"]


def eigenvalues() -> Iterable[Oracle]:
    """Give largest eigenvalues that are known in closed form."""
    inputs = drawn(20, 5)
    squares = torch.linalg.eigvalsh(inputs.mT @ inputs / 20)[-1].item()
    halves = (torch.arange(20) % 2).double()[:, None]
    logistic = nn.functional.binary_cross_entropy_with_logits
    for name, model, batch, loss, expected in (
        ("least squares: λ₁ of XᵀX/N", linear(5), (inputs, halves), half_squares, squares),
        (
            "logistic regression at 0: λ₁ of XᵀX/4N",
            linear(5),
            (inputs, halves),
            logistic,
            squares / 4,
        ),
        (
            "softmax of 3 classes at 0: λ₁ of XᵀX/3N",
            linear(5, 3),
            (inputs, torch.arange(20) % 3),
            None,
            squares / 3,
        ),
    ):
        yield exact(name, top(model, batch, loss)[0], expected, ROUNDING)
    descent = torch.optim.SGD((decayed := linear(5)).parameters(), lr=0.1, weight_decay=0.3)
    seen = analysis.hessian_spectrum(
        decayed, (inputs, halves), half_squares, probes=0, optimiser=descent
    ).figures["seen by the optimiser"]
    yield exact("least squares with a decay of 0.3: λ₁ + 0.3", seen, squares + 0.3, ROUNDING)
    largest, lowest = top(Product(2.0, 0.5), NOTHING, product_loss)
    yield exact("(xy − 1)²/2 at its minimum (2, ½): λ₁ = x² + y²", largest, 4.25, ROUNDING)
    yield exact("the same: λ₂", lowest, 0, ROUNDING)
    x, y = 1.9, 0.55
    middle, apart = (x * x + y * y) / 2, math.hypot((x * x - y * y) / 2, 2 * x * y - 1)
    for what, value, expected in zip(
        ("λ₁", "λ₂"),
        top(Product(x, y), NOTHING, product_loss),
        (middle + apart, middle - apart),
        strict=True,
    ):
        yield exact(f"(xy − 1)²/2 at (1.9, 0.55): {what}", value, expected, ROUNDING)


def self_stabilised() -> Iterable[Oracle]:
    """Descend (xy − 1)²/2 from above the limit; it ends where it is stable."""
    model = Product(1.9, 0.55)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.6)
    for _ in range(200):
        optimiser.zero_grad()
        product_loss(model(NOTHING[0]), None).backward()
        optimiser.step()
    found = top(model, NOTHING, product_loss)[0]
    yield known("descent at rate 0.6 from (1.9, 0.55): λ₁ at its end, below 3.33", found, "2.854")


def before_a_norm(factor: float = 4.0) -> Iterable[Oracle]:
    """Make a weight longer whose length a BatchNorm takes off."""
    found = []
    model, batch = small_network(), small_batch()
    for norm in norms(model):
        norm.eps = 1e-30
    for _ in range(2):
        with objective(model, batch, of="0.weight") as held:
            sizes = held.loss(), torch.linalg.vector_norm(held.gradient(0)).item()
        found.append((*sizes, top(model, batch, of="0.weight")[0]))
        with torch.no_grad():
            model.get_parameter("0.weight").mul_(factor)
    (loss, gradient, curvature), after = found
    name = f"weight before BatchNorm, {factor:g} times as long"
    yield exact(f"{name}: change of the loss", after[0] - loss, 0, ROUNDING)
    yield exact(f"{name}: ‖g‖, by 1/k", after[1] / gradient, 1 / factor, ROUNDING)
    yield exact(f"{name}: λ₁ of its block, by 1/k²", after[2] / curvature, factor**-2, ROUNDING)


def limits() -> Iterable[Oracle]:
    """Give the limits of stability, by the formula and by running torch's optimisers."""
    rules: tuple[tuple[str, dict[str, Any], float], ...] = (
        ("gradient descent, 2/η", {}, 20),
        ("heavy ball of 0.9, (2 + 2b)/η", {"momentum": 0.9}, 38),
        (
            "Nesterov of 0.9, (2 + 2b)/(η(1 + 2b))",
            {"momentum": 0.9, "nesterov": True},
            38 / 2.8,
        ),
        (
            "averaged momentum of 0.9 (Adam), 38/η",
            {"momentum": 0.9, "dampening": 0.9},
            380,
        ),
    )
    for name, options, limit in rules:
        yield exact(f"{name}, η = 0.1: the limit", Rule(rate=0.1, **options).limit, limit)
        yield Oracle(
            name=f"{name}, η = 0.1: the curvature from which on torch's optimiser grows",
            measured=found_limit(limit, **options),
            expected=limit,
            tolerance=1e-4 * limit,
            samples=2500,
        )


def steps(rate: float = 0.7) -> Iterable[Oracle]:
    """Give where a step on a parabola lands."""
    batch, gradient, matrix = least_squares(0)
    model, expected = linear(5), rate * along(gradient, matrix) - 1
    alpha = analysis.batch_sharpness(model, batch, half_squares, rate=rate)["alpha"][0]
    yield exact("parabola, η = 0.7: α of the gradient, η·gᵀHg/gᵀg − 1", alpha, expected)
    before = analysis.weights_of(model)
    after = {"weight": before["weight"] - rate * gradient}
    found = analysis.step_quality(model, batch, half_squares, before=before, after=after)
    yield exact("the same: α of the step, from losses and slopes", found["alpha"][0], expected)
    yield exact("the same: given / promised", found["given / promised"][0], 1)
    for where, end, position in (("in the valley", 1.0, 0), ("on the opposite wall", 2.0, 1)):
        valley = Along(
            before=1.0, after=(end - 1) ** 2, slope_before=-2 * end, slope_after=2 * (end - 1) * end
        )
        yield exact(
            f"(s − 1)² from 0, a step that ends {where}: α", step_position(valley), position
        )


def traces(probes: int = 400) -> Iterable[Oracle]:
    """Give what signs ±1 make of a trace."""
    found = trace(dense(torch.tensor([[2.0, 1.0], [1.0, 3.0]])), probes=probes)
    yield estimated("trace of [[2, 1], [1, 3]] by signs: mean", found, 5)
    # Each sample is 5 ± 2, so that its variance errs by the squared error of the mean alone.
    yield Oracle(
        name="the same: variance of a sample, 2 Σ_{i≠j} a_ij²",
        measured=found.error**2 * probes,
        expected=4,
        tolerance=(25 + 1) * 4 / probes,
        samples=probes,
    )
    diagonal = trace(dense(torch.diag(torch.arange(1.0, 6.0))), probes=probes)
    yield exact("trace of diag(1 … 5) by signs: variance of a sample", diagonal.error, 0, 0)
    spectrum = torch.linspace(-1, 2, 50, dtype=torch.float64)
    quadrature = spectral_density(dense(torch.diag(spectrum)), steps=4, probes=1)
    moment, expected = quadrature.moment(7).value, (spectrum**7).mean().item()
    yield exact("seventh moment of a density, from four steps", moment, expected)


def noises() -> Iterable[Oracle]:
    """Give signal and noise of a gradient whose law is known."""
    signal, noise = noise_scale(1 + 100 / 8, 1 + 100 / 64, small=8, big=64)
    yield exact("squared norms at batches of 8 and 64: ‖G‖²", signal, 1)
    yield exact("the same: tr Σ", noise, 100)
    data, name = samples(400, 20), "estimating a mean, ‖μ‖² = 1, Σ = 2·I₅₀"
    found = analysis.gradient_noise(Mean(50), [(each, None) for each in data], half_norm).figures
    means = data.mean(1)
    errors = noise_from_products(means @ means.mT, 20)
    for what, figure, error, expected in (
        ("‖G‖²", "squared signal", errors.signal, 1),
        ("tr Σ", "noise of one example", errors.noise, 100),
        ("noise scale", "noise scale", errors.scale, 100),
    ):
        value = Estimate(value=found[figure], error=error.error, samples=error.samples)
        yield estimated(f"{name}: {what}", value, expected)
    gradients = 0.5 + math.sqrt(2 / 5) * drawn(8, 4000, seed=2)
    ratios = signal_to_noise(gradients, 5).tolist()
    yield averaged("E[g]²/Var g of numbers of mean ½ and variance 2", ratios, 0.125)
    rows = 3 * torch.eye(6, dtype=torch.float64)
    batches = [(row[None], drawn(1, 1, seed=number)) for number, row in enumerate(rows)]
    apart = analysis.gradient_noise(linear(6), batches, half_squares).figures
    yield exact("regression on inputs at right angles: confusion", apart["confusion"], 0, 0)
    against = noise_from_products(torch.tensor([[4.0, -3.0], [-3.0, 9.0]]).double(), 1)
    yield exact("two gradients with the product −3: confusion", against.confusion, 3, 0)


PARTS = (eigenvalues, self_stabilised, before_a_norm, limits, steps, traces, noises)
