"""Layers that stand in for torch's give what torch's formula gives."""

import pytest
import torch
from torch.nn.functional import conv2d

from skipwise.layers import Narrow, convolution, pointwise
from skipwise.shapes import Place
from tests.references import close


@pytest.mark.parametrize("width", [1, 3, 7])
def test_a_narrow_strided_map_is_the_convolution(width: int):
    place = Place(width_in=width, width_out=5, stride=2)
    for made in (convolution(width, 5, size=1, stride=2), pointwise(place, bias=True)):
        assert isinstance(made, Narrow)
        layer = made.double().to(memory_format=torch.channels_last)
        x = torch.randn(3, width, 5, 6, dtype=torch.float64, requires_grad=True)
        wanted = conv2d(x, layer.weight, layer.bias, stride=2)
        found = layer(x)
        close(found, wanted)
        back = torch.randn_like(found)
        inputs = (x, layer.weight)
        gradients = (torch.autograd.grad(y, inputs, back) for y in (found, wanted))
        for mine, theirs in zip(*gradients, strict=True):
            close(mine, theirs)


def test_wide_maps_are_torchs_own():
    assert not isinstance(convolution(8, 16, size=1, stride=2), Narrow)
    assert not isinstance(convolution(4, 8, size=1), Narrow)
