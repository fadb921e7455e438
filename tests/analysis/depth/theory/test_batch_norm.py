"""Residual networks with BatchNorm: moments by block, where stages begin, and when that holds."""

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis import Measurement, Theory, signal
from skipwise.connections import Additive, Padded, Projected
from skipwise.networks import Residual, build_network, preresnet20, resnet20
from tests.analysis.depth.test_signal import layer, measure, normed, residual_normed, theory
from tests.analysis.depth.theory.test_expectations import Original
from tests.analysis.models import Stack, along
from tests.references import SMALL

MOMENTS = ("second moment", "channel variance", "channel mean square")
BEGINS = "where a stage begins"
WIDTH = 256


def pictures(examples: int = 8) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(5)
    return torch.randn(examples, *SMALL.inputs, generator=noise), torch.arange(examples) % 5


def curves(found: Measurement, name: str) -> dict[str, Theory]:
    return {t.column: t for t in found.theories if t.name == name}


def test_the_squared_channel_mean_grows_by_one_over_pi_a_block():
    steps = []
    for seed in range(6):
        found = measure(residual_normed(WIDTH, 8, seed), WIDTH, WIDTH, seed)
        means = found["channel mean square"]
        steps.append((means[-1] - means[0]) / 8)
        expected = theory(found, "channel mean square")
        assert expected.holds
        assert expected.low[-1] < means[-1] < expected.high[-1]
    error = np.std(steps, ddof=1) / math.sqrt(6)
    assert abs(np.mean(steps) - 0.318310) < 5 * error
    assert error < 0.02


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_every_moment_grows_by_what_the_last_matrix_gives(scale: float):
    torch.manual_seed(0)
    branches = [nn.Sequential(nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32)) for _ in range(5)]
    model = Stack(*(Residual(branch, Additive(scale=scale)) for branch in branches))
    found = measure(model, 32, batch=16)
    moment, mean = found["second moment"][0], found["channel mean square"][0]
    for row, branch in enumerate(branches, 1):
        weight = branch.get_parameter("2.weight").detach().double().numpy()
        bias = branch.get_parameter("2.bias").detach().double().numpy()
        moment += scale**2 * ((weight**2).sum() / 32 / 2 + (bias**2).mean())
        mean += scale**2 * ((weight**2).sum() / 32 / (2 * math.pi) + (bias**2).mean())
        wanted = (moment, moment - mean, mean)
        for column, value in zip(MOMENTS, wanted, strict=True):
            assert theory(found, column).values[row] == pytest.approx(value, rel=1e-6)
    assert theory(found, "gradient norm").holds


def test_scaled_branches_write_the_square_of_their_scale():
    steps, scale = [], 0.5
    for seed in range(6):
        torch.manual_seed(seed)
        parts = [nn.Sequential(nn.BatchNorm1d(128), nn.ReLU(), layer(128)) for _ in range(6)]
        found = measure(Stack(*(Residual(p, Additive(scale=scale)) for p in parts)), 128, 128, seed)
        steps.append((found["second moment"][-1] - found["second moment"][0]) / 6)
        assert theory(found, "second moment").holds
    error = np.std(steps, ddof=1) / math.sqrt(6)
    assert abs(np.mean(steps) - scale**2) < 5 * error
    assert error < 0.05


def test_every_stage_has_its_curve_from_its_own_first_row():
    found = signal(build_network(preresnet20(), SMALL), pictures())
    shown = curves(found, "residual, BatchNorm")
    assert set(shown) == {*MOMENTS, "gradient norm"}
    for column, expected in shown.items():
        known = [row for row, value in enumerate(expected.values) if not math.isnan(value)]
        assert known == list(range(1, 10))  # the first block's skip carries BatchNorm–ReLU
        anchors = (3, 6, 9) if column == "gradient norm" else (1, 4, 7)
        for row in anchors:
            assert expected.values[row] == pytest.approx(found[column][row], rel=1e-12)
        assert expected.holds
    assert "rows 2 to 4, 5 to 7, 8 to 10, each stage from its own first row" in found.notes[1]


def test_all_stages_are_printed_and_drawn():
    found = signal(build_network(preresnet20(), SMALL), pictures())
    place = [*found.columns, *(t.name for t in found.theories)].index("residual, BatchNorm")
    lines = str(found).splitlines()[2:12]
    assert [line.split()[place + 1] != "?" for line in lines] == [False, *[True] * 9]
    drawn = next(line for line in found._drawn() if line.name == "residual, BatchNorm")
    assert sum(map(math.isfinite, drawn.values)) == 9


class Transition(nn.Module):
    """``W_s·N(x) + W·N(x)`` with N BatchNorm–ReLU, both of He's weights, of twice the width."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.Sequential(nn.BatchNorm1d(width), nn.ReLU())
        self.branch, self.shortcut = (nn.Linear(width, 2 * width, bias=False) for _ in range(2))
        for each in (self.branch, self.shortcut):
            nn.init.normal_(each.weight, std=math.sqrt(2 / width))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return self.shortcut(x) + self.branch(x)


def test_behind_a_transition_the_moments_are_one_and_one():
    logs: dict[str, list[float]] = {column: [] for column in MOMENTS}
    wanted = dict(zip(MOMENTS, (2.0, 2 - 2 / math.pi, 2 / math.pi), strict=True))
    for seed in range(8):
        first = residual_normed(128, 3, seed).get_submodule("blocks")
        later = residual_normed(256, 2, seed + 100).get_submodule("blocks")
        torch.manual_seed(seed + 200)
        model = Stack(*first.children(), Transition(128), *later.children())
        noise = torch.Generator().manual_seed(seed)
        x = 3 * torch.randn(128, 128, generator=noise)  # what comes before is forgotten
        direction = torch.randn(128, 256, generator=noise)
        found = signal(model, (x, direction), along, sites="blocks.*")
        for column, value in wanted.items():
            expected = curves(found, BEGINS)[column]
            assert expected.holds
            assert expected.values[4] == pytest.approx(value, rel=0.03)  # 5/128, of Σ W²
            assert sum(map(math.isfinite, expected.values)) == 1
            logs[column].append(found[column][4] / expected.values[4])
    for found_here in logs.values():
        assert abs(np.mean(found_here) - 1) < 5 * np.std(found_here, ddof=1) / math.sqrt(8)


@pytest.mark.parametrize("shortcut", [Padded(), Projected(norm=False), Projected()])
def test_where_stages_begin_in_our_networks(shortcut: Any):
    """Over draws of the weights measured and expected agree, whatever the shortcut is."""
    ratios = []
    for seed in range(8):
        torch.manual_seed(seed)
        model = build_network(replace(preresnet20(), blocks=(1, 1, 1), shortcut=shortcut), SMALL)
        found = signal(model, pictures())
        expected = curves(found, BEGINS)["second moment"]
        assert expected.holds
        assert list(map(math.isfinite, expected.values)) == [False, True, True, True]
        ratios.append(np.array(found["second moment"][1:]) / expected.values[1:])
    deviation = np.std(ratios, axis=0, ddof=1)
    assert (abs(np.mean(ratios, axis=0) - 1) < 5 * deviation / math.sqrt(8)).all()
    assert (deviation < 0.25).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: residual_normed(16, 4, 0),
        lambda: normed(16, 4, 0),
    ],
)
def test_in_evaluation_mode_nothing_is_said_to_hold(make):
    x = torch.randn(32, 16, generator=torch.Generator().manual_seed(0)).relu()
    for training in (True, False):
        found = signal(make().train(training), (x, x), along)
        assert found.theories
        for expected in found.theories:
            assert expected.holds is training
            assert ("here there is BatchNorm in evaluation mode" in expected.condition) != training


def test_in_evaluation_mode_nothing_holds_of_the_original_block_either():
    x = torch.rand(32, 16, generator=torch.Generator().manual_seed(0))
    model = Stack(*(Original(16) for _ in range(4)))
    holding = [
        {t.name for t in signal(m, (x, x), along, sites="blocks.*").theories if t.holds}
        for m in (model, copy.deepcopy(model).eval())
    ]
    assert holding == [{"residual, ReLU after the sum"}, set()]


@pytest.mark.parametrize("described", [preresnet20(), resnet20()])
def test_no_theory_of_ours_holds_in_evaluation_mode(described):
    found = signal(build_network(described, SMALL).eval(), pictures())
    assert found.theories
    assert {t.holds for t in found.theories} == {False}
    assert all("BatchNorm in evaluation mode" in t.condition for t in found.theories)


@pytest.mark.parametrize("make", [residual_normed, normed])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_norms_that_have_moved_are_seen(make, name: str):
    model = make(16, 4, 0)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    with torch.no_grad():
        getattr(norms[2], name)[0] += 1e-3
    found = measure(model, 16, batch=32)
    assert {t.holds for t in found.theories} == {False}
    assert all("γ = 1, β = 0" in t.condition for t in found.theories)


def test_the_words_say_that_it_is_the_theory_of_random_weights():
    models = (residual_normed(16, 4, 0), normed(16, 4, 0), Stack(*(Original(16) for _ in range(3))))
    for model in models:
        sites = None if isinstance(model, nn.Sequential) else "blocks.*"
        x = torch.rand(16, 16)
        for expected in signal(model, (x, x), along, sites=sites).theories:
            assert "random weights, as at the start of training" in expected.condition
