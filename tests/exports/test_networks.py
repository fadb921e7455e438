"""Every network is the same function in ONNX, with views, softmax and normalisation inside."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from skipwise import networks
from skipwise.cli.words import find_network, named, twins
from skipwise.connections import Highway, Hyper, Padded, Pooled, ShortcutGate, StochasticDepth
from skipwise.data import CLASSES, Preprocessing, Views
from skipwise.exports import Program, fold
from skipwise.exports.writing import capture, open_onnx, write_onnx
from skipwise.networks import LargeStem, NetworkDescription, ResNet, resnet20, resnet50
from skipwise.shapes import Ends

CARD = {"channels": 3, "size": [32, 32]}
READ = Preprocessing(channels=3, size=(32, 32), mean=(120.0, 99.0, 80.0), std=(60.0, 50.0, 70.0))
ENDS = Ends(inputs=(3, 32, 32), outputs=(5,))
SHORT = replace(resnet20(), blocks=(1, 1), width=4)
HANDFUL = {
    "plain": replace(networks.plain20(), blocks=(1, 1), width=4),
    "shortcut A on both sides": replace(SHORT, shortcut=Padded(side="both")),
    "bottleneck, shortcut B": replace(resnet50(), blocks=(1, 1), width=4),
    "shortcut D": replace(resnet50(), blocks=(1, 1), width=4, shortcut=Pooled()),
    "pre-activation": replace(networks.preresnet164(), blocks=(1, 1), width=4),
    "Fixup": replace(networks.fixup20(), blocks=(1, 1), width=4),
    "hyper-connections": replace(SHORT, connection=Hyper(streams=3)),
    "stochastic depth": replace(SHORT, connection=StochasticDepth()),
    "highway": replace(SHORT, connection=Highway()),
    "shortcut gate": replace(SHORT, connection=ShortcutGate()),
    "ImageNet stem": replace(SHORT, stem=LargeStem()),
    "deep ImageNet stem": replace(SHORT, stem=LargeStem(deep=True)),
}


def disturbed(model: nn.Module) -> nn.Module:
    """Move every parameter and statistic a little, so that none has a special value."""
    noise = torch.Generator().manual_seed(1)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(0.05 * torch.rand(tensor.shape, generator=noise))
    return model.eval()


def differs(description: NetworkDescription, path: Path, views: Views | None = None) -> float:
    """Give the largest difference of probabilities between ONNX and ours, on seven pictures."""
    torch.manual_seed(0)
    model = disturbed(description.build(ENDS))
    folded, _ = fold(model, torch.randn(2, *ENDS.inputs))
    noise = np.random.default_rng(0)
    two, seven = (noise.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8) for n in (2, 7))
    program = Program(folded, READ, task=CLASSES, views=views).eval()
    write_onnx(capture(program, torch.from_numpy(two), any_size=False), path, CARD)
    inputs = (seven.transpose(0, 3, 1, 2) - np.array(READ.mean).reshape(1, 3, 1, 1)) / np.array(
        READ.std
    ).reshape(1, 3, 1, 1)
    with torch.no_grad():
        x = torch.from_numpy(inputs.astype(np.float32))
        outputs = model(x) if views is None else (model(x) + model(x.flip(3))) / 2
    return float(np.abs(open_onnx(path)(seven) - outputs.softmax(1).numpy()).max())


@pytest.mark.parametrize("name", HANDFUL)
def test_onnx_is_the_same_function(name: str, tmp_path: Path):
    assert differs(HANDFUL[name], tmp_path / "m.onnx") < 1e-5


def test_mirrored_views_are_averaged_inside(tmp_path: Path):
    assert differs(SHORT, tmp_path / "m.onnx", Views(flip=True)) < 1e-5
    assert differs(SHORT, tmp_path / "n.onnx") < 1e-5


def shrunk(name: str) -> ResNet:
    """Give a named network with two narrow blocks a stage."""
    network = find_network(name)
    width = 16 if "resnext" in name else 4  # 32 groups need as many channels
    two = tuple(2 for _ in network.blocks)
    return replace(network, name=name, width=width, stem_width=None, blocks=two)


def distinct() -> list[str]:
    """Name one of the networks for each description that is left once they are shrunk."""
    found: dict[ResNet, str] = {}
    for name in sorted({*named("networks", ResNet), *twins()}):
        found.setdefault(replace(shrunk(name), name=""), name)
    return list(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", distinct())
def test_every_named_network_is_the_same_function(name: str, tmp_path: Path):
    assert differs(shrunk(name), tmp_path / "m.onnx") < 1e-5
