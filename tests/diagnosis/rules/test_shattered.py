"""V8: gradients may come apart as far as the ReLUs explain, and no further."""

import math

import pytest
import torch
from torch import nn

from skipwise.analysis import Theory, shattering
from skipwise.diagnosis import Level, Verdict
from skipwise.diagnosis.rules import shattered
from tests.analysis.models import along
from tests.diagnosis.rules.made import measured
from tests.diagnosis.rules.networks import noise, plain, residual


def judged(cosine: float, expected: float, *, holds: bool = True) -> Verdict:
    theory = Theory(
        name="measured co-activation",
        column="gradient cosine",
        formula="",
        condition="",
        values=(expected, 0.8, 1.0),
        holds=holds,
        source="",
    )
    columns = {"gradient cosine": [cosine, 0.8, 1.0], "factor": [expected / 0.8, 0.8, 1.0]}
    return shattered(shattering=measured(["a", "b", "end"], columns, theories=(theory,)))


@pytest.mark.parametrize(
    ("cosine", "level"),
    [(0.4, Level.PASS), (0.201, Level.PASS), (0.199, Level.WARN), (-0.5, Level.WARN)],
)
def test_half_of_what_theory_leaves_is_the_border(cosine: float, level: Level):
    found = judged(cosine, 0.4)
    assert found.level is level
    assert found.where == (("a",) if level is Level.WARN else ())


def test_what_is_lost_in_noise_is_no_warning():
    assert judged(0.0, 0.019).level is Level.INFO
    assert judged(0.0, 0.021).level is Level.WARN


def test_white_noise_by_design_is_worth_a_line():
    assert judged(0.04, 0.045).level is Level.INFO
    assert judged(0.051, 0.045).level is Level.PASS


def test_where_no_theory_holds_nothing_is_judged():
    assert judged(0.1, 0.9, holds=False).level is Level.INFO
    assert "still helps others" in judged(0.1, 0.9, holds=False).says
    assert "does little for another" in judged(0.04, 0.9, holds=False).says
    assert judged(math.nan, 0.9).level is Level.UNKNOWN
    assert shattered().level is Level.UNKNOWN


@pytest.mark.parametrize("seed", range(3))
def test_healthy_networks_come_apart_as_their_relus_explain(seed: int):
    batch = noise(seed, 12, 256), noise(seed + 1, 12, 256)
    for model in (plain(8, seed, width=256), residual(8, seed, width=256)):
        assert shattered(shattering=shattering(model, batch, along)).level is not Level.WARN


@pytest.mark.parametrize("seed", range(3))
def test_a_map_that_depends_on_the_example_shatters_beyond_its_relus(seed: int):
    class Flipping(nn.Module):
        """Multiplies by signs that change from example to example."""

        def __init__(self, inner: nn.Module):
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            noise_of_it = torch.Generator().manual_seed(0)
            signs = 2 * torch.randint(2, x.shape, generator=noise_of_it) - 1
            return self.inner(x * signs)

    layers = [Flipping(layer) for layer in plain(4, seed, width=256)]  # type: ignore[union-attr]
    batch = noise(seed, 12, 256), noise(seed + 1, 12, 256)
    found = shattered(shattering=shattering(nn.Sequential(*layers), batch, along))
    assert found.level is Level.WARN
