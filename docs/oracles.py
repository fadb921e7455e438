"""Write docs/oracles.md: what is measured along the depth, beside the answer that is known.

``python -m docs.oracles`` writes it; a test asserts that every row is within its tolerance.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from skipwise import analysis
from skipwise.analysis.depth.meanfield import (
    BATCH_NORM_FACTOR,
    TANH,
    VARIANCE_STEP,
    batch_norm_backward,
    correlations,
    fixed_point,
    forwards,
    residual_tanh,
    scales,
)
from skipwise.analysis.depth.paths import design_depths
from skipwise.analysis.depth.shattering import plain_likeness
from skipwise.analysis.depth.spectrum import product_edge, residual_law
from skipwise.connections import Additive
from tests.analysis.depth.test_jacobian import deep
from tests.analysis.depth.test_signal import normed, plain, residual_normed
from tests.analysis.models import along, residual_stack, scaled_stack

FILE = Path(__file__).with_suffix(".md")
INTRODUCTION = """# What is measured along the depth, against known answers

Written by `python -m docs.oracles`; do not edit it by hand. The tolerance is absolute: the last
digit of the known value, rounding, or five standard errors over networks drawn anew, which the
column samples counts (1: nothing is drawn).

| what | measured | expected | tolerance | samples | within |
|---|---:|---:|---:|---:|---|
"""


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """One number with its answer."""

    name: str
    measured: float
    expected: float
    tolerance: float
    samples: int = 1

    @property
    def within(self) -> bool:
        """Whether the measurement agrees with the answer."""
        return abs(self.measured - self.expected) <= self.tolerance

    def __str__(self) -> str:
        return (
            f"| {self.name} | {self.measured:.6g} | {self.expected:.6g} | {self.tolerance:.1g}"
            f" | {self.samples} | {'yes' if self.within else '**no**'} |"
        )


def known(name: str, measured: float, expected: float, digit: float = 5e-6) -> Oracle:
    """Give a row whose answer is exact up to its last digit, relative to it."""
    return Oracle(
        name=name, measured=measured, expected=expected, tolerance=digit * max(abs(expected), 1)
    )


def drawn(name: str, values: Sequence[float], expected: float, slack: float = 0.0) -> Oracle:
    """Give a row whose answer is a mean over networks: five standard errors, and O(1/width)."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Oracle(
        name=name,
        measured=float(np.mean(values)),
        expected=expected,
        tolerance=5 * error + slack,
        samples=len(values),
    )


def closed_forms() -> Iterable[Oracle]:
    """Give what follows from formulas alone."""
    star = fixed_point(TANH, 1.5, 0.05)
    yield known("tanh, sw² 1.5, sb² 0.05: q*", star.moment, 0.418037)
    yield known("the same: χ", star.factor, 0.938636)
    yield known("the same: gradient depth", star.gradient_depth, 15.791, 1e-4)
    yield known("tanh, sw² 2: χ", fixed_point(TANH, 2.0).factor, 1.105529)
    chain = correlations(0.0, [1.0] * 100, skip=False)
    yield known("plain ReLU: cosine of two inputs after 10 layers", chain[10], 0.871536)
    yield known("the same after 100", chain[100], 0.996423)
    mixed = correlations(0.0, scales("1/√L", 100), skip=True)[-1]
    yield known("residual 1/√L: the same after 100 blocks", mixed, 0.25231)
    for blocks, value in ((10, 2.59374), (100, 2.70481)):
        grown = forwards([1 + scale for scale in scales("1/√L", blocks)])[-1]
        yield known(f"residual 1/√L: growth over {blocks} blocks", grown, value)
    decreasing = forwards([1 + scale for scale in scales("decreasing", 54)])[-1]
    yield known("residual, decreasing scale: growth over 54", decreasing, 8.0999, 1e-5)
    for layers, value in ((1, 171.2), (2, 1350.0)):
        squared = batch_norm_backward(1.0, 54, layers)[0]
        yield known(f"BatchNorm residual, k = {layers}: ‖g₀‖² over 54", squared, value, 4e-4)
    rate = math.log(residual_tanh(1.0, 1000).gradients[0]) / math.sqrt(1000)
    yield known("tanh residual: log ‖g₀‖²/√L at L = 1000", rate, 1.0836, 1e-2)
    law = residual_law(1.0)
    yield known("Jacobian law, c = 1: σ₋", law.smallest, 0.217729)
    yield known("Jacobian law, c = 1: σ₊", law.largest, 4.592867)
    yield known("product of 10 Gaussian matrices: σ²₊", product_edge(10), 28.5312, 1e-5)
    yield known(
        "BatchNorm residual: effective depth of 54", design_depths(54)["BatchNorm"], 4.601, 1e-3
    )
    yield known("plain ReLU: likeness of gradients, 10 layers", plain_likeness(10), 0.0336522)


def exact_networks() -> Iterable[Oracle]:
    """Give what a small network in double precision has exactly."""
    x = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = scaled_stack(0.3, 9)
    split = analysis.gradient_split(model, (x, x), along)
    rounding = 1e-10
    yield known("F = 0.3x: energy ratio", split["energy ratio"][4], 0.3, rounding)
    yield known("F = 0.3x: branch share", split["branch share"][4], 0.3 / 1.3, rounding)
    identity = split["global identity share"][0]
    yield known("F = 0.3x, 9 blocks: identity share", identity, 1.3**-9, rounding)
    depth = analysis.effective_depth(model, (x, x), along)
    yield known("F = 0.3x, 9 blocks: effective depth", depth, 9 * 0.3 / 1.3, rounding)
    spectrum = analysis.path_spectrum(residual_stack(5, 9).double(), (x, x), along)
    yield known("9 random blocks: ‖Σ G_k − g‖/‖g‖", spectrum.figures["sum error"], 0, rounding)
    silent = residual_stack(5, 6, Additive(scale=0.0, learned=True)).double()
    found = analysis.signal(silent, (x, x), along)["gradient norm"]
    yield known("branches that start at zero: ‖g₀‖/‖g_L‖", found[0] / found[-1], 1, rounding)
    changed = analysis.lesion(silent, (x, x), along, without=["blocks.2"])
    yield known("the same: change of loss without a block", changed, 0, rounding)


def measured(model: nn.Module, seed: int, batch: int) -> analysis.Measurement:
    """Measure signal and gradient of one network on Gaussian inputs."""
    noise = torch.Generator().manual_seed(1000 + seed)  # not the numbers of the weights
    x, direction = torch.randn(2, batch, 256, generator=noise)
    return analysis.signal(model, (x, direction), along)


def growth(make: Callable[[int], nn.Module], column: str, networks: int = 24) -> list[float]:
    """Give ``q_L/q_0`` or ``‖g_0‖²/‖g_L‖²`` of networks drawn anew."""
    found = []
    for seed in range(networks):
        values = measured(make(seed), seed, 4)[column]
        forward = column == "second moment"
        found.append(values[-1] / values[0] if forward else (values[0] / values[-1]) ** 2)
    return found


def random_networks() -> Iterable[Oracle]:
    """Give what networks of width 256 have in the mean."""
    scale = Additive(scale=8**-0.5)
    for column, what in (("second moment", "q_L/q₀"), ("gradient norm", "‖g₀‖²/‖g_L‖²")):
        yield drawn(
            f"plain He-ReLU, 8 layers: {what}", growth(lambda s: plain(256, 8, s), column), 1
        )
        values = growth(lambda s: residual_stack(256, 5, None, s), column)
        yield drawn(f"residual, unscaled, 5 blocks: {what}", values, 32)
        values = growth(lambda s: residual_stack(256, 8, scale, s), column)
        yield drawn(f"residual 1/√L, 8 blocks: {what}", values, (1 + 1 / 8) ** 8)
    rates, steps = [], []
    for seed in range(6):
        norms = measured(normed(256, 9, seed), seed, 512)["gradient norm"]
        rates.append((norms[1] / norms[-2]) ** (1 / 7))
        variance = measured(residual_normed(256, 12, seed), seed, 256)["channel variance"]
        steps.append((variance[-1] - variance[0]) / 12)
    root = math.sqrt(BATCH_NORM_FACTOR)
    yield drawn("plain, BatchNorm–ReLU: ‖g‖ a layer, batch 512", rates, root, slack=0.015)
    yield drawn("residual, BatchNorm: channel variance a block", steps, VARIANCE_STEP)
    x = torch.randn(1, 160, generator=torch.Generator().manual_seed(1000))
    row = analysis.jacobian(deep(160, 40), (x, x), along, probes=2, steps=40)
    law = residual_law(row.figures["sum of gains"])
    yield Oracle(
        name="linear residual, width 160, 40 blocks: σ₋ (1/width left out)",
        measured=row["smallest"][-1],
        expected=law.smallest,
        tolerance=0.1 * law.smallest,
    )


PARTS = (closed_forms, exact_networks, random_networks)


def document() -> str:
    """Write the whole file."""
    rows = [str(row) for part in PARTS for row in part()]
    return INTRODUCTION + "\n".join(rows) + "\n"


if __name__ == "__main__":
    FILE.write_text(document())
