"""The networks for large pictures, and the deep and wide ones for small: counts as published."""

import pytest

from skipwise import networks
from skipwise.networks import measure_size, plain_twin
from skipwise.shapes import Ends

IMAGENET = Ends(inputs=(3, 224, 224), outputs=(1000,))
CIFAR = Ends(inputs=(3, 32, 32), outputs=(10,))
LARGE = {  # parameters, billions of multiply-adds
    "resnet18": (11_689_512, 1.814),
    "resnet34": (21_797_672, 3.664),
    "resnet50": (25_557_032, 4.089),
    "resnet50_v1": (25_557_032, 3.858),
    "resnet101": (44_549_160, 7.801),
    "resnet152": (60_192_808, 11.514),
    "resnet50_d": (25_576_264, 4.329),
    "resnext50_32x4d": (25_028_904, 4.230),
    "wide_resnet50_2": (68_883_240, 11.398),
    "resnetv2_50": (25_549_352, 4.089),
}
SMALL = {
    "preresnet110": 1_727_962,
    "preresnet164": 1_703_258,
    "preresnet1001": 10_327_706,
    "wide28_10": 36_479_194,
    "wide16_8": 10_961_370,
}


@pytest.mark.parametrize("name", LARGE)
def test_large_networks_have_the_published_sizes(name: str):
    size = measure_size(vars(networks)[name]().build(IMAGENET), IMAGENET.inputs)
    assert (size.parameters, round(size.macs / 1e9, 3)) == LARGE[name]


@pytest.mark.parametrize("name", SMALL)
def test_deep_and_wide_networks_have_the_published_sizes(name: str):
    size = measure_size(vars(networks)[name]().build(CIFAR), CIFAR.inputs)
    assert size.parameters == SMALL[name]


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnetv2_50", "wide16_8"])
def test_a_plain_twin_lacks_the_skip_and_its_projections(name: str):
    network = vars(networks)[name]()
    twin = plain_twin(network)
    whole, plain = (measure_size(n.build(IMAGENET), IMAGENET.inputs) for n in (network, twin))
    model = network.build(IMAGENET)
    skips = [p for n, p in model.named_parameters() if ".shortcut." in n]
    assert whole.parameters - plain.parameters == sum(p.numel() for p in skips)
    assert twin.name == f"plain_{name}"


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
