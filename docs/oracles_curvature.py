"""Write docs/oracles_curvature.md: measurements whose answer is known, beside that answer.

``python -m docs.oracles_curvature`` writes it; a test asserts that all rows are within tolerance.
"""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import nn

from docs.oracles import Oracle
from skipwise import analysis
from skipwise.analysis import Rule, weights_of
from skipwise.analysis.landscape import walk_shares
from skipwise.analysis.spectra import dense, spectral_density, trace
from skipwise.analysis.state import linear_cka, silenced_probability
from tests.analysis.curvature.problems import (
    NOTHING,
    Product,
    drawn,
    half_squares,
    linear,
    product_loss,
)
from tests.analysis.curvature.test_noise import Mean, half_norm, samples
from tests.analysis.curvature.test_stability import found_limit

ROUNDING = 1e-8
FILE = Path(__file__).with_suffix(".md")
INTRODUCTION = """# Curvature, landscape and state against known answers

Written by `python -m docs.oracles_curvature`; do not edit it by hand. The tolerance is absolute:
rounding, or five standard errors where something is drawn. Samples are steps, batches or random
vectors; 1 where nothing is drawn.

| what | measured | expected | tolerance | samples | within |
|---|---:|---:|---:|---:|---|
"""


def curvatures() -> Iterable[Oracle]:
    """Give largest eigenvalues that are known in closed form."""
    inputs = drawn(20, 5)
    squares = torch.linalg.eigvalsh(inputs.mT @ inputs / 20)[-1].item()
    halves = (torch.arange(20) % 2).double()[:, None]
    logistic = nn.functional.binary_cross_entropy_with_logits

    def top(model: nn.Module, batch: object, loss: Callable | None = None) -> float:
        return analysis.hessian_spectrum(model, batch, loss, probes=0)["value"][0]

    yield Oracle(
        name="least squares: top eigenvalue of XᵀX/N",
        measured=top(linear(5), (inputs, halves), half_squares),
        expected=squares,
        tolerance=ROUNDING,
    )
    yield Oracle(
        name="logistic regression at 0: of XᵀX/4N",
        measured=top(linear(5), (inputs, halves), logistic),
        expected=squares / 4,
        tolerance=ROUNDING,
    )
    yield Oracle(
        name="softmax of 3 classes at 0: of XᵀX/3N",
        measured=top(linear(5, 3), (inputs, torch.arange(20) % 3)),
        expected=squares / 3,
        tolerance=ROUNDING,
    )
    yield Oracle(
        name="(xy − 1)²/2 at its minimum (2, ½): x² + y²",
        measured=top(Product(2.0, 0.5), NOTHING, product_loss),
        expected=4.25,
        tolerance=ROUNDING,
    )


def self_stabilised() -> Oracle:
    """Descend (xy − 1)²/2 from above the limit; it ends where it is stable."""
    model = Product(1.9, 0.55)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.6)
    for _ in range(200):
        optimiser.zero_grad()
        product_loss(model(NOTHING[0]), None).backward()
        optimiser.step()
    found = analysis.hessian_spectrum(model, NOTHING, product_loss, probes=0)["value"][0]
    return Oracle(
        name="descent at rate 0.6 from (1.9, 0.55): sharpness where it ends, below 3.33",
        measured=found,
        expected=2.854,
        tolerance=5e-4,
        samples=200,
    )


def limits() -> Iterable[Oracle]:
    """Give the limits of stability by running torch's optimisers."""
    rules = {
        "gradient descent": (Rule(rate=0.1), {}),
        "heavy ball of 0.9": (Rule(rate=0.1, momentum=0.9), {"momentum": 0.9}),
        "Nesterov of 0.9": (
            Rule(rate=0.1, momentum=0.9, nesterov=True),
            {"momentum": 0.9, "nesterov": True},
        ),
        "averaged momentum of 0.9": (
            Rule(rate=0.1, momentum=0.9, dampening=0.9),
            {"momentum": 0.9, "dampening": 0.9},
        ),
    }
    for name, (rule, options) in rules.items():
        yield Oracle(
            name=f"{name} at rate 0.1: the curvature from which on it grows",
            measured=found_limit(rule.limit, **options),
            expected=rule.limit,
            tolerance=1e-4 * rule.limit,
            samples=2500,
        )


def estimates() -> Iterable[Oracle]:
    """Give estimates with their errors."""
    found = trace(dense(torch.tensor([[2.0, 1.0], [1.0, 3.0]])), probes=400)
    yield Oracle(
        name="trace of [[2, 1], [1, 3]]",
        measured=found.value,
        expected=5,
        tolerance=5 * found.error,
        samples=400,
    )
    spectrum = torch.linspace(-1, 2, 50, dtype=torch.float64)
    quadrature = spectral_density(dense(torch.diag(spectrum)), steps=4, probes=1)
    yield Oracle(
        name="seventh moment of a density, from four steps",
        measured=quadrature.moment(7).value,
        expected=(spectrum**7).mean().item(),
        tolerance=1e-9,
    )
    data = [(batch, None) for batch in samples(400, 20)]
    noise = analysis.gradient_noise(Mean(50), data, half_norm).figures
    yield Oracle(
        name="noise scale of estimating a mean, ‖μ‖² = 1, Σ = 2·I₅₀",
        measured=noise["noise scale"],
        expected=100,
        tolerance=5 * noise["standard error"],
        samples=400,
    )
    pairs = [(drawn(100, 100, seed=2 * n), drawn(100, 100, seed=2 * n + 1)) for n in range(12)]
    for debiased, expected in ((False, 0.5), (True, 0.0)):
        values = torch.tensor([linear_cka(*pair, debiased=debiased) for pair in pairs])
        yield Oracle(
            name=f"CKA of independent states, n = p = 100{', debiased' if debiased else ''}",
            measured=values.mean().item(),
            expected=expected,
            tolerance=0.005 if not debiased else 5 * values.std().item() / math.sqrt(12),
            samples=12,
        )


def closed_forms() -> Iterable[Oracle]:
    """Give formulas at the numbers of the literature."""
    for width, expected in ((2, 0.9437), (3, 0.7369), (5, 0.2720), (10, 0.0097)):
        yield Oracle(
            name=f"some layer of 10 is off at the start, width {width}",
            measured=silenced_probability(width, 10),
            expected=expected,
            tolerance=5e-5,
        )
    yield Oracle(
        name="equilibrium angle, rate 0.1, decay 5e-4, momentum 0.9",
        measured=analysis.equilibrium_rotation(0.1, 5e-4, 0.9),
        expected=7.3e-3,
        tolerance=5e-5,
    )
    yield Oracle(
        name="first component of a long random walk, 6/π²",
        measured=walk_shares(4000)[0],
        expected=6 / math.pi**2,
        tolerance=1e-3,
    )
    wells = linear(1)
    end = {name: torch.ones_like(value) for name, value in weights_of(wells).items()}
    ridge = analysis.barrier(
        wells,
        (torch.ones(1, 1, dtype=torch.float64), None),
        lambda output, _: ((output**2 - 1) ** 2).mean(),
        first={name: -value for name, value in end.items()},
        second=end,
    )
    yield Oracle(
        name="barrier between the wells of (w² − 1)²",
        measured=ridge.figures["barrier"],
        expected=1,
        tolerance=0,
    )


def rows() -> list[Oracle]:
    """Measure all of it."""
    return [*curvatures(), self_stabilised(), *limits(), *estimates(), *closed_forms()]


if __name__ == "__main__":
    FILE.write_text(INTRODUCTION + "\n".join(map(str, rows())) + "\n")
