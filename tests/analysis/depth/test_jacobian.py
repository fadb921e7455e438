"""Singular values against dense Jacobians, torch.func and closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis import jacobian, jacobian_density
from skipwise.analysis.depth.spectrum import plain_ratio, residual_density, residual_law
from skipwise.connections import Additive
from skipwise.networks import Residual
from tests.analysis.models import Stack, along, residual_stack


class Diagonal(nn.Module):
    """``F(x) = d ⊙ x`` less x, so that the block multiplies by d."""

    def __init__(self, values: Tensor):
        super().__init__()
        self.values = nn.Parameter(values - 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.values * x


def whole(found, column: str) -> float:
    return found[column][-1]


def test_a_diagonal_network_has_its_diagonal():
    block = Residual(Diagonal(torch.arange(1.0, 11.0, dtype=torch.float64)))
    x = torch.randn(1, 10, dtype=torch.float64)
    found = jacobian(Stack(block, Residual(Diagonal(torch.ones(10).double()))), (x, x), along)
    assert found["largest"] == pytest.approx((10, 1, 10), rel=1e-9)
    assert found["smallest"] == pytest.approx((1, 1, 1), rel=1e-9)


def test_all_columns_are_those_of_the_dense_jacobian():
    model = residual_stack(6, 3).double()
    x = torch.randn(1, 6, dtype=torch.float64)
    dense = torch.func.jacrev(model)(x).reshape(6, 6)
    values = torch.linalg.svdvals(dense.detach()).numpy()
    found = jacobian(model, (x, x), along, probes=60, steps=6)
    assert whole(found, "largest") == pytest.approx(values[0], rel=1e-8)
    assert whole(found, "smallest") == pytest.approx(values[-1], rel=1e-6)
    error = whole(found, "mean square error")
    assert abs(whole(found, "mean square") - (values**2).mean()) < 5 * error
    assert error < 0.2 * whole(found, "mean square")
    assert whole(found, "mean log") == pytest.approx(np.log(values).mean(), abs=0.3)
    block = torch.func.jacrev(model.get_submodule("blocks.0"))(x).reshape(6, 6)
    assert found["largest"][0] == pytest.approx(torch.linalg.svdvals(block)[0].item(), rel=1e-8)


@pytest.mark.parametrize(
    ("gains", "smallest", "largest", "condition", "mean"),
    [
        (0.25, 0.485987, 2.057669, 4.234000, 1.284025),
        (0.5, 0.353374, 2.829864, 8.008133, 1.648721),
        (1, 0.217729, 4.592867, 21.094423, 2.718282),
        (2, 0.100702, 9.930265, 98.610160, 7.389056),
    ],
)
def test_the_law_of_residual_networks(gains, smallest, largest, condition, mean):
    law = residual_law(gains)
    assert (law.smallest, law.largest) == pytest.approx((smallest, largest), abs=6e-7)
    assert law.largest / law.smallest == pytest.approx(condition, rel=1e-6)
    assert (law.mean, law.ratio) == pytest.approx((mean, 1 + 2 * gains), rel=1e-6)
    points = np.geomspace(law.smallest**2 / 2, law.largest**2 * 2, 4000)
    density = residual_density(points, gains)
    assert np.trapezoid(density, points) == pytest.approx(1, abs=2e-3)
    assert np.trapezoid(density * points, points) == pytest.approx(law.mean, rel=2e-3)
    assert np.trapezoid(density * points**2, points) == pytest.approx(
        law.ratio * law.mean**2, rel=2e-3
    )
    assert np.trapezoid(density * np.log(points), points) == pytest.approx(0, abs=2e-3)
    inside = points[density > 1e-5]
    assert inside.min() == pytest.approx(law.smallest**2, rel=0.02)
    assert inside.max() == pytest.approx(law.largest**2, rel=0.02)


class Linear(nn.Module):
    def __init__(self, width: int, gain: float, *, bent: bool = False):
        super().__init__()
        self.map = nn.Linear(width, width, bias=False)
        self.bend = nn.ReLU() if bent else nn.Identity()
        nn.init.normal_(self.map.weight, std=math.sqrt(gain / width))

    def forward(self, x: Tensor) -> Tensor:
        return self.map(self.bend(x))


def deep(width: int, blocks: int, *, bent: bool = False, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    gain = (2 if bent else 1) / blocks
    return Stack(*(Residual(Linear(width, gain, bent=bent)) for _ in range(blocks)))


def test_a_deep_linear_network_fills_the_law():
    x = torch.randn(1, 160)
    found = jacobian(deep(160, 40), (x, x), along, probes=2, steps=40)
    law = {theory.column: theory for theory in found.theories}
    assert all(theory.holds for theory in law.values())
    assert found.figures["sum of gains"] == pytest.approx(1, abs=0.15)
    for column, tolerance in (("largest", 0.15), ("smallest", 0.1), ("mean square", 0.15)):
        assert whole(found, column) == pytest.approx(law[column].values[-1], rel=tolerance)
    assert whole(found, "mean log") == pytest.approx(0, abs=0.1)


def test_it_says_where_the_law_does_not_apply():
    x = torch.randn(1, 32)
    bent = jacobian(deep(32, 12, bent=True), (x, x), along, probes=1, steps=2)
    assert {theory.holds for theory in bent.theories} == {False}
    assert "masks that repeat" in bent.theories[0].condition
    scaled = jacobian(residual_stack(32, 12, Additive(scale=0.3)), (x, x), along, probes=1, steps=2)
    assert {theory.holds for theory in scaled.theories} == {True}


def test_a_network_that_starts_as_the_identity_is_an_isometry():
    x = torch.randn(2, 8)
    model = residual_stack(8, 4, Additive(scale=0.0, learned=True))
    found = jacobian(model, (x, x), along)
    for column in ("largest", "smallest", "mean square", "fourth by square"):
        assert found[column] == pytest.approx((1.0,) * 5, abs=1e-6)


@pytest.mark.parametrize("layers", [4])
def test_plain_relu_networks_spread_as_the_theory_says(layers: int):
    ratios = []
    for seed in range(6):
        torch.manual_seed(seed)
        parts = [Linear(200, 2.0, bent=True) for _ in range(layers)]
        x = torch.randn(1, 200)
        found = jacobian(Stack(*parts), (x, x), along, probes=8, steps=3)
        ratios.append(whole(found, "fourth by square"))
    error = np.std(ratios, ddof=1) / math.sqrt(6)
    assert abs(np.mean(ratios) - plain_ratio(layers)) < 5 * error + 5 * layers / 200


def test_the_density_is_that_of_the_law():
    x = torch.randn(1, 160)
    found = jacobian_density(deep(160, 40), (x, x), along, probes=6, steps=40)
    share = found["share below"]
    theory = next(t for t in found.theories if t.column == "share below")
    assert np.abs(np.array(share) - np.array(theory.values)).max() < 0.08
    assert share[-1] == pytest.approx(1, abs=1e-6)
    assert theory.values[-1] == pytest.approx(1, abs=0.01)
    assert theory.holds


def test_no_probes_are_refused():
    with pytest.raises(ValueError, match="probes and steps must be positive, got 0 and 20"):
        jacobian(residual_stack(4, 2), (torch.ones(1, 4), torch.ones(1, 4)), along, probes=0)


class Diagonals(nn.Module):
    """``x → d ⊙ x``, without a skip."""

    def __init__(self, values: Tensor):
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self, x: Tensor) -> Tensor:
        return self.values * x


@pytest.mark.parametrize("scale", [0.5, 0.004], ids=["σ to 1e-3", "σ to 1e-24"])
def test_the_density_of_a_vanishing_plain_chain_lies_where_its_singular_values_do(scale: float):
    one = scale * torch.linspace(0.5, 1.0, 16)
    model = Stack(*(Diagonals(one.clone()) for _ in range(10)))
    x = torch.ones(1, 16)
    found = jacobian_density(model, (x, x), along, sites="blocks.*", probes=32, steps=16)
    logs = math.log(10) * np.array(found.positions)
    truth = 10 * np.log(one.double().numpy())  # σ = d¹⁰
    assert logs[0] == pytest.approx(truth[0] - math.log(1.5), abs=1e-3)
    assert logs[-1] == pytest.approx(truth[-1] + math.log(1.5), abs=1e-3)
    share = np.array([(truth <= log).mean() for log in logs])
    error = np.sqrt(2 * share * (1 - share) / (16 * 32))  # of squares of normal numbers
    assert (np.abs(np.array(found["share below"]) - share) <= 5 * error + 1e-6).all()
    assert np.trapezoid(found["density"], logs) == pytest.approx(1, abs=0.02)
    assert not found.theories
    assert any("does not hold here" in note for note in found.notes)


@pytest.mark.parametrize("gains", [2000.0, 1e17])  # 1 + 2/c rounds to 1 of the second
def test_the_law_of_very_large_gains_is_infinite_and_no_error(gains: float):
    law = residual_law(gains)
    assert (law.smallest, law.largest, law.mean) == (0, math.inf, math.inf)
