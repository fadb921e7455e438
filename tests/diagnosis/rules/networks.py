"""Networks with and without a fault of their depth, and batches to measure them on."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from skipwise.analysis import Measurement, signal
from skipwise.connections import Additive, ConnectionDescription
from skipwise.networks import NetworkDescription, Residual, ResNet, build_network
from skipwise.shapes import Ends
from tests.analysis.models import Stack, TwoLayers

SMALL = Ends(inputs=(3, 8, 8), outputs=(5,))


def plain(
    layers: int,
    seed: int,
    *,
    width: int = 64,
    times: float = 1.0,
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> nn.Module:
    """Layers without skip, norm or bias, drawn at so many times He's standard deviation."""
    torch.manual_seed(seed)
    blocks = []
    for _ in range(layers):
        layer = nn.Linear(width, width, bias=False)
        nn.init.normal_(layer.weight, std=times * math.sqrt(2 / width))
        blocks.append(nn.Sequential(layer, activation()))
    return nn.Sequential(*blocks)


def residual(
    blocks: int, seed: int, connection: ConnectionDescription | None = None, width: int = 64
) -> nn.Module:
    torch.manual_seed(seed)
    branches = (TwoLayers(width) for _ in range(blocks))
    return Stack(*(Residual(branch, connection or Additive()) for branch in branches))


def of_pictures(described: NetworkDescription, seed: int, *, blocks: int, width: int) -> nn.Module:
    """A small network of three stages for pictures of 8 × 8."""
    assert isinstance(described, ResNet)
    torch.manual_seed(seed)
    small = replace(described, blocks=(blocks,) * 3, width=width, stem_width=None)
    return build_network(small, SMALL)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1000 + seed))


def pictures(seed: int, examples: int = 16) -> tuple[Tensor, Tensor]:
    return noise(seed, examples, 3, 8, 8), torch.arange(examples) % 5


def signal_along(model: nn.Module, seed: int, *, width: int = 64) -> Measurement:
    """Measure a network of vectors, the gradient at its output being noise."""
    x, direction = noise(seed, 16, width), noise(seed + 1, 16, width)
    return signal(model, (x, direction), lambda output, wanted: (output * wanted).sum())
