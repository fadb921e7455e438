"""Blocks are found in models of every making."""

import pytest
import timm
import torch
import torchvision.models as published
from torch import nn

from skipwise.analysis import Sites, find_sites
from skipwise.networks import Residual, build_network, plain20, resnet20
from tests.references import SMALL


@pytest.mark.parametrize(
    ("make", "count", "first"),
    [
        (lambda: build_network(resnet20(), SMALL), 9, "trunk.blocks.0"),
        (lambda: build_network(plain20(), SMALL), 9, "trunk.blocks.0"),
        (published.resnet50, 16, "layer1.0"),
        (published.densenet121, 58, "features.denseblock1.denselayer1"),
        (published.mobilenet_v2, 17, "features.1"),
        (lambda: published.vit_b_32(image_size=32), 12, "encoder.layers.encoder_layer_0"),
        (lambda: timm.create_model("convnext_atto"), 12, "stages.0.blocks.0"),
        (lambda: timm.create_model("mixer_s32_224"), 8, "blocks.0"),
    ],
)
def test_the_blocks_of_known_networks(make, count: int, first: str):
    with torch.device("meta"):
        sites = find_sites(make())
    assert len(sites) == count
    assert sites.names[0] == first


def test_the_parts_of_blocks_are_named_where_they_have_names():
    ours = find_sites(build_network(resnet20(), SMALL)).blocks
    assert ours[3].branch == "trunk.blocks.3.branch"
    assert (ours[2].shortcut, ours[3].shortcut) == (None, "trunk.blocks.3.connection.skip.shortcut")
    with torch.device("meta"):
        theirs = find_sites(published.resnet50()).blocks
    assert (theirs[0].shortcut, theirs[1].shortcut) == ("layer1.0.downsample", None)


def test_layers_and_boxes_of_a_sequential():
    layers = nn.Sequential(*(part for _ in range(3) for part in (nn.Linear(4, 4), nn.ReLU())))
    assert find_sites(layers).names == ("0", "2", "4")
    boxes = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(3)))
    assert find_sites(boxes).names == ("0", "1", "2")
    skips = nn.Sequential(nn.Linear(4, 4), Residual(nn.Linear(4, 4)), Residual(nn.Linear(4, 4)))
    assert find_sites(skips).names == ("1", "2")


def test_a_pattern_names_blocks_part_by_part():
    with torch.device("meta"):
        model = published.resnet18()
    assert len(find_sites(model, "layer*.*")) == 8
    assert find_sites(model, ["layer1.*", "layer2"]).names == ("layer1.0", "layer1.1", "layer2")


def test_what_cannot_be_found_is_one_sentence():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with pytest.raises(ValueError, match=r"^Sequential has no blocks that repeat.*one of 0, 1$"):
        find_sites(model)
    with pytest.raises(ValueError, match=r"^no module of Sequential fits the pattern layer\*;"):
        find_sites(model, "layer*")
    with pytest.raises(ValueError, match="at least one block"):
        Sites(blocks=())
