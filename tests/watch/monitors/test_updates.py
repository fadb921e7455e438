"""How many numbers a step leaves as they are though they have a gradient, and how large that is."""

import math

import pytest
import torch
from torch import nn

from skipwise.watch.monitors.updates import _unmoved


def test_what_stayed_is_a_share_of_the_numbers_that_have_a_gradient():
    before = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    parameter = nn.Parameter(torch.tensor([[1.0, 2.0, 3.5], [4.0, 5.5, 6.5]]))
    parameter.grad = torch.tensor([[3.0, 0.0, 4.0], [0.0, 0.0, 12.0]])
    stayed, size = _unmoved(before, parameter)
    assert stayed == pytest.approx(1 / 3)  # the first of three; what has no gradient is none
    assert size == pytest.approx(math.sqrt((9 + 16 + 144) / 6))
    parameter.grad = None
    stayed, size = _unmoved(before, parameter)
    assert math.isnan(stayed)
    assert size == 0
