"""What the tests share: one tolerance, random parameters, small data whose answers are known."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from skipwise.connections import (
    Additive,
    ConnectionDescription,
    Highway,
    Hyper,
    Plain,
    ShortcutGate,
    StochasticDepth,
)
from skipwise.data import Dataset, Shares, assemble
from skipwise.shapes import Ends

CONNECTIONS: tuple[ConnectionDescription, ...] = (
    Additive(),
    Additive(scale=0.5),
    Additive(scale=0.3, learned=True),
    Additive(scale=0.3, learned=True, per_channel=True),
    ShortcutGate(bias=-1.0),
    Plain(),
    Highway(),
    Hyper(),
    Hyper(streams=3),
    StochasticDepth(),
    StochasticDepth(survival=0.7, inner=Hyper()),
)
SMALL = Ends(inputs=(3, 8, 8), outputs=(5,))


def close(found: Tensor, wanted: Tensor) -> None:
    """Assert equality up to the rounding of the type: 1e-10 in float64, 1e-5 in float32."""
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-5}[wanted.dtype]
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and statistic a random, non-degenerate value, in float64."""
    module = module.double()
    noise = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            drawn = torch.randn(tensor.shape, generator=noise, dtype=torch.float64)
            tensor.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else 0.5 * drawn)
    return module


def rings(examples: int = 240, seed: int = 0) -> Dataset:
    """Five kinds of 8×8 colour pictures that a small network can tell apart."""
    noise = np.random.default_rng(seed)
    labels = np.arange(examples) % 5
    pictures = noise.integers(0, 60, (examples, 3, 8, 8))
    for row, label in enumerate(labels):
        pictures[row, label % 3, label : label + 3, label : label + 3] += 180
    parts = {"train": (torch.from_numpy(pictures.astype(np.uint8)), torch.from_numpy(labels))}
    return assemble("rings", parts, Shares(), classes=tuple("abcde"))


def rings_file(path: Path, examples: int = 240) -> Path:
    """Write the rings as a file .npz."""
    noise = np.random.default_rng(0)
    labels = np.arange(examples) % 5
    pictures = noise.integers(0, 60, (examples, 8, 8, 3))
    for row, label in enumerate(labels):
        pictures[row, label : label + 3, label : label + 3, label % 3] += 180
    np.savez(path, x=pictures.astype(np.uint8), y=labels)
    return path


def paint(
    path: Path, colour: tuple[int, int, int] | int = (200, 10, 10), size: tuple[int, int] = (10, 8)
) -> Path:
    """Write a picture of one colour, grey if it is a number; ``size`` is width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(path)
    return path


def tensors(state: Any) -> list[Tensor]:
    """Copy all tensors in a tree of dictionaries and lists."""
    if isinstance(state, Tensor):
        return [state.clone()]
    if not isinstance(state, dict | list | tuple):
        return []
    inside = state.values() if isinstance(state, dict) else state
    return [tensor for value in inside for tensor in tensors(value)]
