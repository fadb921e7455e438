"""Sizes against published counts, and counts made by hand from the papers' tables."""

from dataclasses import replace

import pytest
from torch import nn

from docs.networks import FILE, document, size_of
from skipwise import networks
from skipwise.connections import Projected
from skipwise.networks import measure_size, resnet20
from skipwise.shapes import Ends
from tests.networks.published import PUBLISHED

CIFAR = Ends(inputs=(3, 32, 32), outputs=(10,))


@pytest.mark.parametrize("name", PUBLISHED)
def test_networks_have_the_published_sizes(name: str):
    size, published = size_of(vars(networks)[name]()), PUBLISHED[name]
    assert size.parameters == published.parameters
    if published.giga_macs is not None:
        assert round(size.macs / 1e9, 3) == published.giga_macs


def test_the_documents_table_is_what_its_command_writes():
    assert FILE.read_text() == document()
    assert "**no**" not in FILE.read_text()


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_option_b_adds_the_two_projections(depth: int):
    network = replace(vars(networks)[f"resnet{depth}"](), shortcut=Projected())
    projections = (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)
    size = measure_size(network.build(CIFAR), CIFAR.inputs)
    assert size.parameters == PUBLISHED[f"resnet{depth}"].parameters + projections


def test_a_hundred_classes_change_the_last_layer_only():
    hundred = Ends(inputs=(3, 32, 32), outputs=(100,))
    assert measure_size(resnet20().build(hundred), hundred.inputs).parameters == 275_572


def test_the_network_of_small_recipes_is_counted_by_hand():
    """Stem, four stages of two 3×3 convolutions (a projection where it widens), ten classes."""
    widths = (32, 64, 128, 256)
    parameters, macs = 9 * 3 * 32 + 2 * 32, 9 * 3 * 32 * 32**2
    for before, width, side in zip((32, *widths), widths, (32, 16, 8, 4), strict=False):
        weights = 9 * before * width + 9 * width**2 + (before * width if before < width else 0)
        parameters += weights + (3 if before < width else 2) * 2 * width
        macs += weights * side**2
    size = measure_size(networks.resnet10_w32().build(CIFAR), CIFAR.inputs)
    assert (size.parameters, size.macs) == (parameters + 256 * 10 + 10, macs + 256 * 10)


@pytest.mark.parametrize("depth", [20, 56, 110])
def test_depth_counts_the_weighted_layers(depth: int):
    model = vars(networks)[f"resnet{depth}"]().build(CIFAR)
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules()) == depth


def test_rows_add_up_and_give_the_shapes_of_the_paper():
    size = measure_size(resnet20().build(CIFAR), CIFAR.inputs)
    assert size == measure_size(resnet20(), CIFAR.inputs)
    shapes = [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8), (10,)]
    assert [row.shape for row in size.rows] == shapes
    # stage 1: three blocks of two 3×3 convolutions of 16 channels, two norms of 16 each
    assert size.rows[1].parameters == 3 * 2 * (9 * 16 * 16 + 2 * 16)
    assert size.rows[1].macs == 3 * 2 * 9 * 16 * 16 * 32 * 32


def test_memory_counts_what_the_backward_pass_keeps():
    linear = nn.Sequential(nn.Linear(7, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False))
    size = measure_size(linear, (7,))
    kept = [7 * 4, 5 * 4, 0]  # the input; ReLU's output, which the next reads
    assert [row.memory_bytes for row in size.rows] == kept
    assert size.macs == 7 * 5 + 5 * 3


def test_measuring_leaves_the_network_alone():
    model = resnet20().build(CIFAR).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure_size(model, CIFAR.inputs)
    assert not model.training
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
