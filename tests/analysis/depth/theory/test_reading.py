"""What theory reads off a block: what convolutions lose at the border, what stands behind."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis.depth.theory import steps_of
from skipwise.analysis.forward import watched_pass
from skipwise.analysis.problem import pose
from skipwise.analysis.sites import find_sites
from tests.analysis.models import Stack, along

CONVOLUTIONS = {
    "padded": (lambda: nn.Conv2d(2, 3, 3, padding=1, bias=False), (2, 4, 5)),
    "strided": (lambda: nn.Conv2d(2, 3, 3, padding=1, stride=2, bias=False), (2, 5, 4)),
    "wide": (lambda: nn.Conv1d(2, 3, 5, padding=3, dilation=2, bias=False), (2, 9)),
    "grouped": (lambda: nn.Conv1d(2, 4, 3, padding="same", groups=2, bias=False), (2, 4)),
    "round": (lambda: nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular", bias=False), (2, 4)),
    "deep": (lambda: nn.Conv3d(1, 2, 3, padding=1, bias=False), (1, 2, 3, 4)),
    "linear": (lambda: nn.Linear(4, 3, bias=False), (4,)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_weights_are_those_of_the_matrix_that_a_convolution_is(name: str):
    """White noise leaves it with ‖A‖²/(outputs); single weights tell what a mean keeps."""
    make, shape = CONVOLUTIONS[name]
    torch.manual_seed(0)
    module = make().double()
    (step,) = _steps(Stack(module), torch.randn(2, *shape, dtype=torch.float64), "blocks.*")
    (found,) = step.layers
    size = math.prod(shape)
    columns = module(torch.eye(size, dtype=torch.float64).reshape(size, *shape)).detach().flatten(1)
    assert found.weights == pytest.approx(
        float(columns.square().sum()) / columns.shape[1], rel=1e-12
    )
    means = 0.0  # Σ over single weights of the squared mean of the output: independent ones
    with torch.no_grad():
        weight, kept = module.weight, module.weight.clone()
        for index in np.ndindex(*weight.shape):
            weight.zero_()
            weight[index] = kept[index]
            out = module(torch.ones(1, *shape, dtype=torch.float64))[0]
            means += float(out.reshape(len(out), -1).mean(1).square().sum())
    assert found.weights * found.kept == pytest.approx(means / len(weight), rel=1e-12)


def _steps(model: nn.Module, x: Tensor, sites: str):
    problem = pose(model, (x, torch.ones((), dtype=x.dtype)), along)
    seen = watched_pass(problem, find_sites(model, sites), lambda stream: None)
    return steps_of(seen.visits)


class Ended(nn.Module):
    """``x + 2·α·F(x) + β``, with α of every channel."""

    def __init__(self):
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
        self.scale = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + (2 * (self.scale * self.branch(x)) + self.shift)


def test_factors_behind_the_last_matrix_are_read_with_it():
    (step,) = _steps(Stack(Ended()), torch.randn(2, 3), "blocks.*")
    assert step.ends
    assert step.scale == pytest.approx(4 * (1 + 4 + 9) / 3, rel=1e-12)
    assert step.order == ("W", "tanh", "W")
    assert step.identity
