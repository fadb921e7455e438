"""No theory is held against a network with what it does not know, and the condition says what."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis import Measurement, jacobian, jacobian_density, shattering, signal
from skipwise.connections import Additive
from skipwise.networks import Residual
from tests.analysis.depth.test_signal import layer, plain, theory
from tests.analysis.models import Stack, along, residual_stack

WIDTH = 32
NORMS = {
    "LayerNorm": lambda: nn.LayerNorm(WIDTH),
    "GroupNorm": lambda: nn.GroupNorm(4, WIDTH),
    "RMSNorm": lambda: nn.RMSNorm(WIDTH),
    "BatchNorm in evaluation mode": lambda: nn.BatchNorm1d(WIDTH).eval(),
}
BENDS = {
    "LeakyReLU": nn.LeakyReLU,
    "ELU": nn.ELU,
    "Hardtanh": nn.ReLU6,
    "Mish": nn.Mish,
    "GELU": nn.GELU,
    "SiLU": nn.SiLU,
    "Clamp": lambda: Function(lambda x: x.clamp(min=0)),
    "a product of two streams": lambda: Function(lambda x: x * x),
}


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def chain(*parts: Callable[[], nn.Module], blocks: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Sequential(layer(WIDTH), *(p() for p in parts)) for _ in range(blocks))
    )


def residual(*parts: Callable[[], nn.Module], blocks: int = 12) -> nn.Module:
    torch.manual_seed(0)
    branches = (
        nn.Sequential(layer(WIDTH), *(p() for p in parts), layer(WIDTH, gain=1))
        for _ in range(blocks)
    )
    return Stack(*(Residual(branch, Additive(scale=0.3)) for branch in branches))


def looked(measure: Callable[..., Measurement], model: nn.Module) -> Measurement:
    x = torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(7))
    few = {"probes": 1, "steps": 2} if measure is jacobian else {}
    return measure(
        model, (x, x), along, sites="*" if isinstance(model, nn.Sequential) else None, **few
    )


@pytest.mark.parametrize("made", [chain, residual])
@pytest.mark.parametrize("name", NORMS)
def test_no_theory_without_norms_holds_where_there_is_one(name: str, made: Callable):
    for measure in (signal, shattering, jacobian):
        theories = looked(measure, made(NORMS[name], nn.ReLU)).theories
        assert theories
        assert {t.holds for t in theories} == {False}
        assert all("here there is" in t.condition and name in t.condition for t in theories)


def test_a_norm_over_each_example_is_none_over_the_batch():
    blocks = (nn.Sequential(nn.Conv1d(4, 4, 1), nn.InstanceNorm1d(4), nn.ReLU()) for _ in range(3))
    x = torch.randn(6, 4, 5)
    theories = signal(nn.Sequential(*blocks), (x, x), along).theories
    assert {t.name for t in theories} == {"plain, ReLU", "ReLU"}
    assert all(t.holds is False and "InstanceNorm" in t.condition for t in theories)


@pytest.mark.parametrize("name", BENDS)
def test_no_theory_of_a_plain_network_holds_with_an_activation_that_it_does_not_know(name: str):
    for measure in (signal, shattering):
        theories = looked(measure, chain(BENDS[name])).theories
        assert all(t.holds is False and name in t.condition for t in theories)
    found = looked(signal, residual(BENDS[name], blocks=4))
    assert not theory(found, "gradient norm").holds


def test_what_stands_between_bare_layers_is_seen_too():
    parts = [p for _ in range(3) for p in (layer(WIDTH), nn.LayerNorm(WIDTH), nn.ReLU())]
    model = nn.Sequential(*parts)
    x = torch.randn(6, WIDTH)
    (expected,) = shattering(model, (x, x), along, sites="[036]").theories
    assert expected.holds is False
    assert "LayerNorm" in expected.condition


@pytest.mark.parametrize(
    ("model", "holds"),
    [
        (residual_stack(WIDTH, 12, Additive(scale=0.3)), True),
        (residual_stack(WIDTH, 4, Additive(scale=0.3)), False),  # few blocks
        (residual_stack(WIDTH, 12), False),  # large gains
        (plain(WIDTH, 12, 0), False),
    ],
)
def test_both_measurements_of_the_jacobian_agree_whether_the_law_holds(model, holds: bool):
    x = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(7))
    found = jacobian(model, (x, x), along, probes=1, steps=3)
    assert {t.holds for t in found.theories} == {holds}
    density = jacobian_density(model, (x, x), along, probes=1, steps=3)
    assert {t.holds for t in density.theories} == ({True} if holds else set())
    assert any("does not hold here" in note for note in density.notes) is not holds


class Turned(nn.Module):
    """A block of tokens that mixes them by a convolution, between two exchanges of axes."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv1d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(x.mT).mT


def attention() -> nn.Module:
    return nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dropout=0.0)


@pytest.mark.parametrize(
    ("block", "axis"),
    [
        (lambda: nn.Conv1d(4, 4, 3, padding=1), 1),
        (lambda: nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(), nn.Conv1d(4, 4, 1)), 1),
        (lambda: nn.Linear(4, 4), 2),
        (Turned, 2),
        (attention, 2),
    ],
)
def test_channels_are_what_the_blocks_read_as_channels(block: Callable, axis: int):
    model, x = Stack(block(), block()), torch.randn(5, 4, 4)
    found = signal(model, (x, x), along, sites="blocks.*")
    rest = tuple({0, 1, 2} - {axis})
    value = x.double().numpy()
    assert found["channel variance"][0] == pytest.approx(value.var(rest).mean(), rel=1e-6)
    assert np.isclose(found["channel mean square"][0], (value.mean(rest) ** 2).mean(), rtol=1e-5)
    end = model(x).detach().double().numpy()
    row = found["channel variance"][-1] if len(found.rows) > 2 else None
    assert row is None or row == pytest.approx(end.var(rest).mean(), rel=1e-5)
