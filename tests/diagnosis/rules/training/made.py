"""Measurements made by hand, and small tasks that train."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from skipwise.analysis import Measurement
from skipwise.diagnosis import Moved, Rehearsal

Batch = tuple[Tensor, Tensor]


def measured(
    columns: Mapping[str, tuple[float, ...]],
    figures: Mapping[str, float] | None = None,
    rows: tuple[str, ...] = (),
) -> Measurement:
    """A measurement that holds just these numbers."""
    count = max((len(column) for column in columns.values()), default=0)
    return Measurement(
        name="made by hand",
        formula="none",
        source="none",
        rows=rows or tuple(f"row {number}" for number in range(count)),
        columns=columns,
        figures=figures or {},
    )


def moved(ratio: float, **others) -> Moved:
    """A weight that moves by this ratio in every step."""
    fields = {"length": 1.0, "dimensions": 2, "gradient": 1.0, "rate": 0.1} | others
    return Moved(ratios=(ratio,) * 6, **fields)


def rehearsed(*weights: Moved, **others) -> Rehearsal:
    """A rehearsal of six steps with these weights, w0, w1, …"""
    fields = {"losses": (1.0,) * 6, "rate": 0.1, "optimiser": "SGD"} | others
    return Rehearsal(moved={f"w{n}": each for n, each in enumerate(weights)}, **fields)


def blobs(count: int, *, seed: int, classes: int = 4, width: int = 16, noise: float = 1.0) -> Batch:
    """Examples around one centre a class; the centres are those of every seed."""
    centres = 1.5 * torch.randn(classes, width, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, classes, (count,), generator=generator)
    return centres[targets] + noise * torch.randn(count, width, generator=generator), targets


def perceptron(seed: int, *, hidden: int = 64, norms: bool = False, momentum: float = 0.1):
    """Two layers of width 16 → hidden → 4."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        norm = [nn.BatchNorm1d(hidden, momentum=momentum)] if norms else []
        return nn.Sequential(nn.Linear(16, hidden), *norm, nn.ReLU(), nn.Linear(hidden, 4))


def normalised(seed: int, *, momentum: float = 0.1, layers: int = 4) -> nn.Module:
    """Four layers with a norm each, and a linear one."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = []
        for _ in range(layers):
            norm = nn.BatchNorm1d(16, momentum=momentum)
            parts += [nn.Linear(16, 16, bias=False), norm, nn.ReLU()]
        return nn.Sequential(*parts, nn.Linear(16, 4))


def fit(model: nn.Module, batch: Batch, optimiser: torch.optim.Optimizer, steps: int, size: int):
    """Train with batches of a size, in turn."""
    model.train()
    for step in range(steps):
        rows = torch.arange(step * size, (step + 1) * size) % len(batch[0])
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(batch[0][rows]), batch[1][rows]).backward()
        optimiser.step()


def pieces(batch: Batch, size: int) -> list[Batch]:
    """Cut a batch."""
    return list(zip(*(part.split(size) for part in batch), strict=True))


NAN = math.nan
