"""What random networks have in the mean, with the answers for infinite width and depth."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

from docs.known.oracle import Oracle, averaged, estimated
from skipwise import analysis
from skipwise.analysis.spectra import jackknifed
from skipwise.connections import Additive
from tests.analysis.depth.test_signal import normed, plain, residual_normed
from tests.analysis.models import along, residual_stack

WIDTH = 256
MOMENTS = {
    "channel variance": 1 - 1 / math.pi,
    "channel mean square": 1 / math.pi,
    "second moment": 1.0,
}


def batch_of(seed: int, examples: int, width: int = WIDTH) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw inputs and a direction, not from the numbers of the weights."""
    noise = torch.Generator().manual_seed(1000 + seed)
    x, direction = torch.randn(2, examples, width, generator=noise)
    return x, direction


def growth(make: Callable[[int], nn.Module], column: str, networks: int = 24) -> list[float]:
    """Give ``q_L/q_0`` or ``‖g_0‖²/‖g_L‖²`` of networks drawn anew."""
    found = []
    for seed in range(networks):
        values = analysis.signal(make(seed), batch_of(seed, 4), along)[column]
        forward = column == "second moment"
        found.append(values[-1] / values[0] if forward else (values[0] / values[-1]) ** 2)
    return found


def growths() -> Iterable[Oracle]:
    """Give the growth of the signal, and of the gradient on its way back."""
    scale = Additive(scale=8**-0.5)
    for column, what in (("second moment", "q_L/q₀"), ("gradient norm", "‖g₀‖²/‖g_L‖²")):
        values = growth(lambda seed: plain(WIDTH, 8, seed), column)
        yield averaged(f"plain He-ReLU, 8 layers: {what}", values, 1)
        values = growth(lambda seed: residual_stack(WIDTH, 5, None, seed), column)
        yield averaged(f"residual, unscaled, 5 blocks: {what}", values, 32)
        values = growth(lambda seed: residual_stack(WIDTH, 8, scale, seed), column)
        yield averaged(f"residual 1/√L, 8 blocks: {what}", values, (1 + 1 / 8) ** 8)


def narrow_layers(networks: int = 200) -> Iterable[Oracle]:
    """Give mean and deviation of log q_L/q₀ over narrow plain networks, √(5 Σ 1/n)."""
    logs = []
    for seed in range(networks):
        moments = analysis.signal(plain(64, 32, seed), batch_of(seed, 1, 64), along)
        logs.append(math.log(moments["second moment"][-1] / moments["second moment"][0]))
    name, variance = "plain He-ReLU, width 64, 32 layers", 5 * 32 / 64
    beyond = 20 * 32 / 64**2  # the next order: 4.1/n² a layer of the mean, 18.5/n² of the variance
    yield averaged(f"{name}: mean of log q_L/q₀, −½·5 Σ 1/n", logs, -variance / 2, beyond)
    deviations = [float(np.std(np.delete(logs, n), ddof=1)) for n in range(networks)]
    found = jackknifed(float(np.std(logs, ddof=1)), deviations)
    yield estimated(f"{name}: its deviation, √(5 Σ 1/n)", found, math.sqrt(variance), beyond)


def splits(networks: int = 24) -> Iterable[Oracle]:
    """Give the two parts of the gradient where branches begin as strong as the skip, or 1/√L."""
    squares, shares, whole, scaled = [], [], [], []
    for seed in range(networks):
        batch = batch_of(seed, 4)
        found = analysis.gradient_split(residual_stack(WIDTH, 5, None, seed), batch, along)
        squares.append(found["energy ratio"][2] ** 2)
        shares.append(found["branch share"][2])
        whole.append(found["global identity share"][0])
        model = residual_stack(WIDTH, 8, Additive(scale=8**-0.5), seed)
        scaled.append(analysis.gradient_split(model, batch, along)["branch share"][4])
    name = "residual, unscaled, 5 blocks"
    yield averaged(f"{name}: squared energy ratio", squares, 1)
    yield averaged(f"{name}: branch share", shares, 1 / 2, 2 / WIDTH)
    yield averaged(f"{name}: identity share, 2⁻⁵", whole, 2**-5, 2**-5 * 5 * 4 / WIDTH)
    yield averaged("residual 1/√L, 8 blocks: branch share, 1/(L + 1)", scaled, 1 / 9, 2 / WIDTH)


def paths(networks: int = 24) -> Iterable[Oracle]:
    """Give the energies of the paths by their length, C(9, k)."""
    found = [
        analysis.path_spectrum(residual_stack(WIDTH, 9, None, seed), batch_of(seed, 2), along)
        for seed in range(networks)
    ]
    energies = [
        [each / float(batch_of(seed, 2)[1].square().sum()) for each in one["energy"]]
        for seed, one in enumerate(found)
    ]
    for length, values in enumerate(zip(*energies, strict=True)):
        name = f"residual, unscaled, 9 blocks: energy of paths of {length} branches"
        yield averaged(name, values, math.comb(9, length), 1e-5)
    yield averaged("the same: energy of all paths, 2⁹", [sum(one) for one in energies], 512)
    depths = [one.figures["effective depth"] for one in found]
    yield averaged("residual, unscaled, 9 blocks: effective depth, n/2", depths, 4.5, 9 / WIDTH)
    depths = [
        analysis.effective_depth(
            residual_stack(WIDTH, 9, Additive(scale=1 / 3), seed), batch_of(seed, 2), along
        )
        for seed in range(networks)
    ]
    yield averaged("residual 1/√L, 9 blocks: effective depth, n/(n + 1)", depths, 0.9, 9 / WIDTH)


def likenesses(networks: int = 24) -> Iterable[Oracle]:
    """Give the cosines of streams and of gradients of two inputs."""
    for layers, likeness, cosine in ((3, 0.200345, 0.604826), (5, 0.104559, 0.735946)):
        gradients, streams = [], []
        for seed in range(networks):
            found = analysis.shattering(plain(WIDTH, layers, seed), batch_of(seed, 6), along)
            gradients.append(found["gradient cosine"][0])
            streams.append(found["stream cosine"][-1])
        name = f"plain He-ReLU, {layers} layers"
        yield averaged(f"{name}: cosine of two gradients", gradients, likeness, layers / WIDTH)
        yield averaged(f"{name}: cosine of two inputs", streams, cosine, layers / WIDTH)


def batch_norm(networks: int = 6) -> Iterable[Oracle]:
    """Give factors and steps of BatchNorm."""
    rates, steps = [], []
    for seed in range(networks):
        found = analysis.signal(normed(WIDTH, 9, seed), batch_of(seed, 512), along)
        norms = found["gradient norm"]
        rates.append((norms[1] / norms[-2]) ** (1 / 7))  # input and loss have neighbours of one
        found = analysis.signal(residual_normed(WIDTH, 12, seed), batch_of(seed, WIDTH), along)
        columns = (found[name] for name in MOMENTS)
        steps.append([(column[-1] - column[0]) / 12 for column in columns])
    root = math.sqrt(math.pi / (math.pi - 1))
    yield averaged("plain, BatchNorm–ReLU: ‖g‖ a layer, batch 512", rates, root, 0.015)
    for (name, expected), values in zip(MOMENTS.items(), zip(*steps, strict=True), strict=True):
        yield averaged(f"residual, BatchNorm: {name} a block", values, expected)


def batch_norm_gradients(networks: int = 6) -> Iterable[Oracle]:
    """Give the growth of gradients with BatchNorm in the branches, and the depth they see.

    The answers are for an infinite batch; of 256 examples the variance is known to 10/256.
    """
    for layers, blocks, expected in ((1, 40, 111.9), (2, 18, 147.6)):
        values = []
        for seed in range(networks):
            model = residual_normed(WIDTH, blocks, seed, layers=layers)
            norms = analysis.signal(model, batch_of(seed, WIDTH), along)["gradient norm"]
            values.append((norms[0] / norms[-1]) ** 2)
        name = f"BatchNorm residual, k = {layers}, {blocks} blocks: ‖g₀‖²/‖g_L‖²"
        yield averaged(name, values, expected, expected * 10 / WIDTH)
    for blocks, expected in ((9, 2.260), (18, 3.111)):
        depths = [
            analysis.effective_depth(
                residual_normed(WIDTH, blocks, seed), batch_of(seed, WIDTH), along
            )
            for seed in range(networks)
        ]
        name = f"BatchNorm residual, {blocks} blocks: effective depth"
        yield averaged(name, depths, expected, expected * 10 / WIDTH)


PARTS = (growths, narrow_layers, splits, paths, likenesses, batch_norm, batch_norm_gradients)
