"""The stem that the input asks for, and inputs that are too small."""

from dataclasses import replace

import pytest
import torch

from skipwise import networks
from skipwise.networks import LargeStem, ResNet, resnet18, resnet20, resnet50
from skipwise.shapes import Ends

IMAGENET = Ends(inputs=(3, 224, 224), outputs=(1000,))
CIFAR = Ends(inputs=(3, 32, 32), outputs=(10,))
LARGE = replace(resnet18(), stem=LargeStem(), width=4)


def test_the_stem_is_chosen_by_the_size_of_the_input_and_said():
    network = networks.resnet18()
    large, small = network.build(IMAGENET), network.build(CIFAR)
    assert large.get_parameter("stem.conv.weight").shape == (64, 3, 7, 7)
    assert small.get_parameter("stem.conv.weight").shape == (64, 3, 3, 3)
    assert network.notes(IMAGENET) == (
        "ImageNet stem (7×7, a quarter of the resolution),"
        " since the shorter side of the input is 224",
    )
    assert "small-image stem" in network.notes(CIFAR)[0]
    assert networks.resnet20().notes(CIFAR) == ()


@pytest.mark.parametrize(
    ("network", "inputs", "told"),
    [
        (
            LARGE,
            (3, 40, 31),
            "the shorter side of the input is 31, but resnet18 needs at least 32, since its strides"
            r" divide the resolution by 32; take larger inputs, of picture files by --size 32, or"
            " set network.stem=SmallStem, which needs 8$",
        ),
        (LARGE, (3, 7, 7), r"set network.blocks=\[2,2,2\] for .* and network.stem=SmallStem$"),
        (resnet50(), (3, 7, 7), r"needs at least 8, .* or set network.blocks=\[3,4,6\] for fewer"),
        (resnet20(), (3, 3, 9), r"needs at least 4, .* network.blocks=\[3,3\] for fewer stages$"),
        (resnet20(), (1, 1, 1), r"network.blocks=\[3\] for fewer stages$"),
        (resnet20(), (2, 3), "the shorter side of the input is 3, but resnet20 needs at least 4"),
    ],
)
def test_an_input_too_small_is_refused_with_what_is_needed(network: ResNet, inputs, told: str):
    with pytest.raises(ValueError, match=told):
        network.build(Ends(inputs=inputs, outputs=(2,)))


@pytest.mark.parametrize(
    ("network", "side"), [(LARGE, 32), (replace(resnet18(), width=4), 8), (resnet20(), 4)]
)
def test_the_smallest_input_is_reduced_to_one_position(network: ResNet, side: int):
    model = network.build(Ends(inputs=(3, side, side), outputs=(2,)))
    x = model.get_submodule("stem")(torch.randn(2, 3, side, side))
    assert model.get_submodule("trunk")(x).shape[2:] == (1, 1)


@pytest.mark.parametrize("blocks", [(2, 2, 2), (2, 2), (1,)])
def test_what_the_sentence_advises_works(blocks: tuple[int, ...]):
    side = 2 ** (len(blocks) - 1)
    network = replace(resnet20(), blocks=blocks)
    assert network.build(Ends(inputs=(3, side, side), outputs=(2,))) is not None
