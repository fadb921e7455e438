"""Weights exchanged with torchvision and timm: the same logits, with every tensor random."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from skipwise import networks
from skipwise.connections import Additive
from skipwise.prediction import load
from skipwise.shapes import Ends
from skipwise.weights import load_network, names_of_torchvision, read_source, save_as
from skipwise.weights.names import matched

ENDS = Ends(inputs=(3, 96, 96), outputs=(17,))
NAMES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "wide_resnet50_2",
)


def disturbed(model: nn.Module) -> nn.Module:
    """Give every tensor a value of its own that keeps the signal of a deep network finite."""
    noise = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=noise)
            if value.dim() > 1:
                value.copy_(drawn * (2 / value[0].numel()) ** 0.5)
            else:
                value.copy_(1 + 0.2 * drawn.clamp(-3, 3) if "bias" not in name else 0.2 * drawn)
    return model.eval()


def assert_same(ours: nn.Module, theirs: nn.Module) -> None:
    x = torch.randn(2, *ENDS.inputs, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found, wanted = ours(x), theirs(x)
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def saved(model: nn.Module, path: Path) -> Path:
    torch.save(model.state_dict(), path)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_torchvisions_weights_give_torchvisions_logits(name: str, tmp_path: Path):
    theirs = disturbed(vars(torchvision.models)[name](weights=None, num_classes=17))
    source = read_source(saved(theirs, tmp_path / "theirs.pth"))
    named = replace(vars(networks)[name](), stem=networks.LargeStem())
    assert source.network() == named
    assert_same(load_network(tmp_path / "theirs.pth"), theirs)


@pytest.mark.parametrize("name", NAMES)
def test_our_weights_give_our_logits_in_torchvision(name: str, tmp_path: Path):
    ours = disturbed(vars(networks)[name]().build(ENDS))
    save_as(tmp_path / "ours.pth", ours, "torchvision")
    theirs = vars(torchvision.models)[name](weights=None, num_classes=17).eval()
    theirs.load_state_dict(torch.load(tmp_path / "ours.pth", weights_only=True))
    assert_same(ours, theirs)


TIMM = {
    "resnet50": "resnet50",
    "resnet50_d": "resnet50d",
    "resnext50_32x4d": "resnext50_32x4d",
    "resnetv2_50": "resnetv2_50",
}


@pytest.mark.parametrize("name", TIMM)
def test_timms_weights_give_timms_logits(name: str, tmp_path: Path):
    theirs = disturbed(timm.create_model(TIMM[name], num_classes=17))
    found = read_source(saved(theirs, tmp_path / "theirs.pth")).network()
    named = vars(networks)[name]()
    assert isinstance(found, networks.ResNet)
    assert replace(found, name=name) == replace(named, stem=named.stem.chosen(ENDS))
    assert_same(load_network(tmp_path / "theirs.pth"), theirs)


@pytest.mark.parametrize("name", TIMM)
def test_our_weights_give_our_logits_in_timm(name: str, tmp_path: Path):
    ours = disturbed(vars(networks)[name]().build(ENDS))
    save_as(tmp_path / "ours.safetensors", ours, "timm")
    theirs = timm.create_model(TIMM[name], num_classes=17).eval()
    theirs.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    ("network", "library", "told"),
    [
        (networks.resnet50_v1(), "torchvision", "blocks.3.branch has its stride on the first 1×1"),
        (networks.resnet20(), "timm", "blocks.3.*pads with zeros, where that library projects"),
        (networks.resnet20(), "cifar", "pads at the end, where that library pads on both sides"),
        (networks.plain_twin(networks.resnet18()), "timm", "otherwise than by the sum"),
        (replace(networks.resnet18(), connection=Additive(scale=0.5)), "timm", "than by the sum"),
        (networks.preresnet20(), "timm", "blocks.0.connection.skip carries the stream itself"),
        (networks.mlp(), "timm", "this Network is none"),
        (networks.resnet18(), "keras", "must be one of torchvision, timm, cifar, got 'keras'"),
    ],
)
def test_a_network_that_would_compute_something_else_there_is_not_written(network, library, told):
    ends = Ends(inputs=(8,), outputs=(3,)) if network == networks.mlp() else ENDS
    with pytest.raises(ValueError, match=told):
        save_as("there.pth", network.build(ends), library)
    assert not Path("there.pth").exists()


def test_timms_networks_whose_first_block_carries_the_raw_stream_are_refused(tmp_path: Path):
    saved(timm.create_model("resnetv2_18", num_classes=17), tmp_path / "theirs.pth")
    with pytest.raises(ValueError, match="a first block without projection carries the stream"):
        load_network(tmp_path / "theirs.pth")


@pytest.mark.parametrize("name", ["resnet50", "resnetv2_50"])
def test_pictures_are_normalised_as_timm_says(name: str, tmp_path: Path):
    theirs = timm.create_model(name, num_classes=17)
    used = load(saved(theirs, tmp_path / "theirs.pth")).preprocessing
    config: dict[str, Any] = vars(theirs)["pretrained_cfg"]
    assert used.mean == pytest.approx([255 * value for value in config["mean"]])
    assert used.std == pytest.approx([255 * value for value in config["std"]])


def test_a_file_of_another_network_is_refused_with_its_first_tensor():
    ours = networks.resnet18().build(ENDS)
    names = names_of_torchvision(ours)
    other = torchvision.models.resnet50(weights=None, num_classes=17).state_dict()
    with pytest.raises(ValueError, match=r"layer1\.0\.conv1\.weight has shape"):
        matched(ours, other, names)
    with pytest.raises(ValueError, match=r"the file has no conv1\.weight"):
        matched(ours, {}, names)
