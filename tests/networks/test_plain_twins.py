"""Plain twins: their sizes against sums made from the papers' tables, and who has none."""

from dataclasses import replace

import pytest
import torch

from docs.networks import residual_networks
from skipwise import networks
from skipwise.connections import Padded, Plain
from skipwise.description import from_plain, read_yaml, to_plain, write_yaml
from skipwise.networks import ResNet, plain_twin, resnet18
from skipwise.shapes import Ends

RESIDUAL = [
    network
    for network in residual_networks()
    if not isinstance(network.connection, Plain) and not network.branch.starts_at_zero
]
IMAGENET, CIFAR = (3, 1000), (3, 10)  # channels and classes
# name: order, blocks a stage, width of stage 1 inside and outside its blocks, groups, stem, ends
LAYERS = {
    "resnet18": ("basic", (2, 2, 2, 2), 64, 64, 1, (64, 7), IMAGENET),
    "resnet34": ("basic", (3, 4, 6, 3), 64, 64, 1, (64, 7), IMAGENET),
    "resnet50": ("bottleneck", (3, 4, 6, 3), 64, 256, 1, (64, 7), IMAGENET),
    "resnet152": ("bottleneck", (3, 8, 36, 3), 64, 256, 1, (64, 7), IMAGENET),
    "resnext50_32x4d": ("bottleneck", (3, 4, 6, 3), 128, 256, 32, (64, 7), IMAGENET),
    "wide_resnet50_2": ("bottleneck", (3, 4, 6, 3), 128, 256, 1, (64, 7), IMAGENET),
    "resnetv2_50": ("bottleneck first", (3, 4, 6, 3), 64, 256, 1, (64, 7), IMAGENET),
    "preresnet164": ("bottleneck first", (18, 18, 18), 16, 64, 1, (16, 3), CIFAR),
    "wide16_8": ("basic first", (2, 2, 2), 128, 128, 1, (16, 3), CIFAR),
    "wide28_10": ("basic first", (4, 4, 4), 160, 160, 1, (16, 3), CIFAR),
    "resnet20": ("basic", (3, 3, 3), 16, 16, 1, (16, 3), CIFAR),
}


def parameters(order, blocks, inner, outer, groups, stem, ends) -> int:
    """Add up convolutions, norms and the linear map, without any skip."""
    kind, first = order.split()[0], order.endswith("first")
    width, kernel = stem
    total = ends[0] * width * kernel**2 + (0 if first else 2 * width)
    for stage, number in enumerate(blocks):
        b, c = inner * 2**stage, outer * 2**stage
        for a in [width, *[c] * (number - 1)]:
            if kind == "basic":
                total += 9 * a * c + 9 * c * c + 2 * c + 2 * (a if first else c)
            else:
                total += a * b + 9 * b * b // groups + b * c + 4 * b + 2 * (a if first else c)
        width = c
    return total + (2 * width if first else 0) + width * ends[1] + ends[1]


def built(network: ResNet, ends: tuple[int, int] = CIFAR, side: int = 32) -> int:
    with torch.device("meta"):
        model = network.build(Ends(inputs=(ends[0], side, side), outputs=(ends[1],)))
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", LAYERS)
def test_a_plain_twin_has_the_layers_of_the_paper_and_no_projection(name: str):
    network, ends = vars(networks)[name](), LAYERS[name][-1]
    side = 224 if ends is IMAGENET else 32
    assert built(plain_twin(network), ends, side) == parameters(*LAYERS[name])


@pytest.mark.parametrize("network", RESIDUAL, ids=lambda n: n.name)
def test_a_twin_differs_by_the_projections_alone_and_survives_the_disk(network: ResNet):
    twin = plain_twin(network)
    assert twin == replace(network, name=f"plain_{network.name}", connection=Plain())
    assert from_plain(to_plain(twin)) == from_plain(read_yaml(write_yaml(twin), "file")) == twin
    if isinstance(network.shortcut, Padded) and sum(network.blocks) < 100:
        assert built(twin) == built(network)


def test_a_plain_network_has_no_twin():
    with pytest.raises(ValueError, match="plain_resnet18 is plain already"):
        plain_twin(plain_twin(resnet18()))
