"""V12, at its borders and on a gradient whose noise is known."""

import pytest
import torch
from torch import nn

from skipwise.analysis import gradient_noise
from skipwise.diagnosis import Level
from skipwise.diagnosis.rules import batch_size
from tests.diagnosis.rules.training.made import NAN, measured


def noise(scale: float, error: float = 0.0, size: float = 100.0):
    return measured(
        {}, {"noise scale": scale, "standard error": error, "examples in a batch": size}
    )


def test_the_borders_are_a_tenth_and_ten_times():
    assert batch_size(noise=noise(1000)).level is Level.PASS
    assert batch_size(noise=noise(10)).level is Level.PASS
    small, large = batch_size(noise=noise(1001)), batch_size(noise=noise(9.99))
    assert small.level is large.level is Level.INFO
    assert "to --batch-size 512 first" in small.cure  # four times 100, not ten
    assert "to --batch-size 32 first" in large.cure
    assert "--batch-size 8 " in batch_size(noise=noise(0.1, size=16)).cure
    assert batch_size(noise=noise(1000), size=99).level is Level.INFO


def test_below_noise_it_is_not_known():
    assert batch_size(noise=noise(NAN)).level is Level.UNKNOWN
    assert batch_size().level is Level.UNKNOWN
    assert batch_size(noise=noise(2442, 2442)).level is Level.UNKNOWN
    assert batch_size(noise=noise(2442, 2441)).level is Level.INFO


def test_how_sure_it_is_is_said():
    assert "beyond one standard error" in batch_size(noise=noise(5000, 1000)).confidence
    assert "within one standard error" in batch_size(noise=noise(1500, 600)).confidence
    assert "no standard error" in batch_size(noise=noise(5000, NAN)).confidence


class Mean(nn.Module):
    """``½‖θ − x‖²`` at θ = 0: the gradient of an example is −x, so the noise scale is tr Σ/‖μ‖²."""

    def __init__(self, width: int):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return 0.5 * (self.theta - x).square().sum(1)


@pytest.mark.parametrize(("mean", "level"), [(1.0, "PASS"), (0.1, "INFO"), (30.0, "INFO")])
def test_a_known_noise_scale_is_judged(mean: float, level: str):
    draw = torch.Generator().manual_seed(0)
    batches = [(mean + torch.randn(8, 50, generator=draw), None) for _ in range(200)]
    found = gradient_noise(Mean(50), batches, lambda output, _: output.mean())
    verdict = batch_size(noise=found)
    assert verdict.level is Level[level]
    assert verdict.numbers["noise scale"] == pytest.approx(1 / mean**2, rel=0.5)
