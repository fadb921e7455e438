"""What small networks in double precision have exactly."""

from collections.abc import Iterable

import torch

from docs.known.oracle import Oracle, exact, known
from skipwise import analysis
from skipwise.connections import Additive
from skipwise.networks import Residual
from tests.analysis.depth.test_jacobian import Diagonal
from tests.analysis.models import Scaled, Stack, along, residual_stack, scaled_stack

BATCH = (torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),) * 2


def scaled_blocks() -> Iterable[Oracle]:
    """Give gradients and paths of blocks x + a·x."""
    model = scaled_stack(0.3, 9)
    split = analysis.gradient_split(model, BATCH, along)
    yield exact("F = 0.3x: energy ratio", split["energy ratio"][4], 0.3)
    yield exact("F = 0.3x: branch share", split["branch share"][4], 0.3 / 1.3)
    for number, left in ((0, 9), (6, 3)):
        share = split["global identity share"][number]
        yield exact(f"F = 0.3x: identity share, {left} blocks before the end", share, 1.3**-left)
    norms = analysis.signal(model, BATCH, along)["gradient norm"]
    yield exact("F = 0.3x, 9 blocks: ‖g₀‖/‖g_L‖", norms[0] / norms[-1], 1.3**9)
    depth = analysis.effective_depth(model, BATCH, along)
    yield exact("F = 0.3x, 9 blocks: effective depth", depth, 9 * 0.3 / 1.3)
    yield known("the same, by its digits", depth, "2.0769231")
    whole = analysis.path_spectrum(scaled_stack(1.0, 54), BATCH, along)
    shares = whole["additive share"]
    yield known("54 blocks: share of paths of 19 to 35 branches", sum(shares[19:36]), "0.980166")
    yield known("54 blocks: share of paths of 5 to 17 branches", sum(shares[5:18]), "0.00453667")
    mean = sum(length * share for length, share in enumerate(shares))
    yield exact("54 blocks: mean length of a path", mean, 27)


def sums() -> Iterable[Oracle]:
    """Give what must add up on any network."""
    model = residual_stack(5, 9).double()
    paths = analysis.path_spectrum(model, BATCH, along)
    yield exact("9 random blocks: ‖Σ G_k − g‖/‖g‖", paths.figures["sum error"], 0)
    split = analysis.gradient_split(model, BATCH, along)
    yield exact("9 random blocks: ‖g_skip + g_branch − g‖/‖g‖", max(split["sum error"]), 0)


def silent_branches() -> Iterable[Oracle]:
    """Give what blocks do whose branches start at zero: nothing, exactly."""
    silent = residual_stack(5, 6, Additive(scale=0.0, learned=True)).double()
    name = "branches that start at zero"
    norms = analysis.signal(silent, BATCH, along)["gradient norm"]
    yield exact(f"{name}: ‖g₀‖/‖g_L‖", norms[0] / norms[-1], 1, 0)
    split = analysis.gradient_split(silent, BATCH, along)
    yield exact(f"{name}: energy ratio", max(split["energy ratio"]), 0, 0)
    yield exact(f"{name}: branch share", max(split["branch share"]), 0, 0)
    yield exact(f"{name}: identity share", min(split["global identity share"]), 1, 0)
    weights = analysis.gradient_noise(silent, [BATCH] * 4, along)
    inside = [g for n, g in zip(weights.rows, weights["gradient"], strict=True) if ".branch." in n]
    yield exact(f"{name}: largest gradient of their {len(inside)} weights", max(inside), 0, 0)
    yield exact(f"{name}: effective depth", analysis.effective_depth(silent, BATCH, along), 0, 0)
    values = analysis.jacobian(silent, BATCH, along)
    yield exact(f"{name}: σ₊", values["largest"][-1], 1)
    yield exact(f"{name}: σ₋", values["smallest"][-1], 1)
    changed = analysis.lesion(silent, BATCH, along, without=["blocks.2"])
    yield exact(f"{name}: change of loss without a block", changed, 0, 0)


def linear_blocks() -> Iterable[Oracle]:
    """Give singular values, order and autocorrelation of linear networks."""
    values = torch.arange(1.0, 11.0, dtype=torch.float64)
    x = torch.ones(1, 10, dtype=torch.float64)
    model = Stack(Residual(Diagonal(values)), Residual(Diagonal(torch.ones_like(values))))
    found = analysis.jacobian(model, (x, x), along)
    yield exact("diag(1 … 10): σ₊", found["largest"][-1], 10)
    yield exact("diag(1 … 10): σ₋", found["smallest"][-1], 1)
    names = [f"blocks.{number}" for number in range(4)]
    order = dict(zip(names, (names[n] for n in (2, 0, 3, 1)), strict=True))
    blocks = Stack(*(Residual(Scaled(factor)) for factor in (0.1, 0.5, -0.3, 0.9)))
    changed = analysis.lesion(blocks, BATCH, along, order=order)
    yield exact("blocks that commute: change of loss in another order", changed, 0)
    torch.manual_seed(0)
    first, last = BATCH[0][:2].unbind()
    line = analysis.gradient_autocorrelation(torch.nn.Linear(5, 3).double(), first, last)
    lowest = min(line["autocorrelation"])
    yield exact("linear network: autocorrelation of the gradient, least of 15 lags", lowest, 1, 0)


PARTS = (scaled_blocks, sums, silent_branches, linear_blocks)
