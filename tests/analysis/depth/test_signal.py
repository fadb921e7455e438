"""Signal and gradient: the numbers are those of a loop by hand, and theory lies over them."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from skipwise.analysis import Measurement, Theory, nearest_design, signal
from skipwise.connections import Additive
from skipwise.networks import Residual, build_network, plain20, preresnet20, resnet20
from tests.analysis.models import Stack, along, residual_stack
from tests.references import SMALL

WIDTH = 256


def layer(width: int, *, gain: float = 2.0) -> nn.Linear:
    made = nn.Linear(width, width, bias=False)
    nn.init.normal_(made.weight, std=math.sqrt(gain / width))
    return made


def plain(
    width: int, layers: int, seed: int, *, gain: float = 2.0, activation: Callable = nn.ReLU
) -> nn.Module:
    torch.manual_seed(seed)
    blocks = (nn.Sequential(layer(width, gain=gain), activation()) for _ in range(layers))
    return nn.Sequential(*blocks)


def normed(width: int, layers: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Sequential(layer(width), nn.BatchNorm1d(width), nn.ReLU()) for _ in range(layers))
    )


def residual_normed(width: int, blocks: int, seed: int, *, layers: int = 1) -> nn.Module:
    torch.manual_seed(seed)

    def branch() -> nn.Module:
        parts = ((nn.BatchNorm1d(width), nn.ReLU(), layer(width)) for _ in range(layers))
        return nn.Sequential(*(part for three in parts for part in three))

    return Stack(*(Residual(branch()) for _ in range(blocks)))


def measure(model: nn.Module, width: int = WIDTH, batch: int = 8, seed: int = 9) -> Measurement:
    noise = torch.Generator().manual_seed(1000 + seed)  # not the numbers of the weights
    x, direction = torch.randn(2, batch, width, generator=noise)
    return signal(model, (x, direction), along)


def theory(measured: Measurement, column: str) -> Theory:
    return next(t for t in measured.theories if t.column == column)


def test_every_number_is_that_of_a_loop_by_hand():
    model = build_network(resnet20(), SMALL)
    x, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    found = signal(model, (x, labels))
    states = []
    stream = model.get_submodule("stem")(x)
    for block in model.get_submodule("trunk.blocks").children():
        states.append(stream)
        stream.retain_grad()
        stream = block(stream)
    states.append(stream)
    stream.retain_grad()
    nn.functional.cross_entropy(model.get_submodule("head")(stream), labels).backward()
    for row, state in enumerate(states):
        value = state.detach().double().numpy()
        assert found["second moment"][row] == pytest.approx((value**2).mean(), rel=1e-6)
        assert found["channel variance"][row] == pytest.approx(
            value.var((0, 2, 3)).mean(), rel=1e-5
        )
        middle = (value.mean((0, 2, 3)) ** 2).mean()
        assert found["channel mean square"][row] == pytest.approx(middle, rel=1e-5)
        unit = [each.ravel() / np.linalg.norm(each) for each in value]
        cosines = [unit[i] @ unit[j] for i in range(4) for j in range(i)]
        assert found["correlation"][row] == pytest.approx(np.mean(cosines), rel=1e-6)
        assert state.grad is not None
        assert found["gradient norm"][row] == pytest.approx(state.grad.norm().item(), rel=1e-5)
    assert len(found.rows) == 10
    assert found.rows[-1] == "end"


def test_weights_half_as_large_again_explode_exactly_as_the_theory_says():
    usual, large = (measure(plain(32, 8, 0, gain=gain), 32) for gain in (2.0, 4.5))
    for layers in range(9):
        ratio = large["second moment"][layers] / usual["second moment"][layers]
        assert ratio == pytest.approx(2.25**layers, rel=1e-5)


def holds_in_the_mean(
    make: Callable[[int], nn.Module], *, networks: int = 24, batch: int = 2
) -> None:
    """Assert that log(measured/theory) has, over networks, the mean that its spread allows.

    Of the second moment and of the squared gradient norm. Theory speaks of E q, and E log q lies
    half the variance below log E q.
    """
    logs: dict[str, list[float]] = {"second moment": [], "gradient norm": []}
    for seed in range(networks):
        found = measure(make(seed), batch=batch, seed=seed)
        for column, row, power in (("second moment", -1, 1), ("gradient norm", 0, 2)):
            expected = theory(found, column)
            assert expected.holds
            logs[column].append(power * math.log(found[column][row] / expected.values[row]))
    for ratios in logs.values():
        mean, deviation = np.mean(ratios), np.std(ratios, ddof=1)
        assert abs(mean + deviation**2 / 2) < 5 * deviation / math.sqrt(networks)
        assert deviation < 0.6  # the test could not fail otherwise


def test_plain_relu_networks_keep_signal_and_gradient():
    holds_in_the_mean(lambda seed: plain(WIDTH, 8, seed))


def test_plain_tanh_networks_follow_their_map():
    holds_in_the_mean(lambda seed: plain(WIDTH, 8, seed, gain=1.5, activation=nn.Tanh))


@pytest.mark.parametrize("scale", [1.0, 8**-0.5])
def test_residual_networks_grow_by_the_gain_of_their_branches(scale: float):
    holds_in_the_mean(lambda seed: residual_stack(WIDTH, 8, Additive(scale=scale), seed))


def test_the_gain_is_that_of_the_initialisation():
    logs = []
    for seed in range(12):
        found = measure(residual_stack(WIDTH, 8, seed=seed), batch=2)
        growth = theory(found, "second moment").values[-1] / found["second moment"][0]
        logs.append(math.log2(growth))
    error = np.std(logs, ddof=1) / math.sqrt(12)
    assert abs(np.mean(logs) - 8) < 5 * error
    assert error < 0.15


def test_batch_norm_makes_the_gradients_of_a_plain_network_explode():
    rates = []
    for seed in range(4):
        found = measure(normed(WIDTH, 9, seed), batch=512)
        norms = np.log(found["gradient norm"])
        rates.append((norms[1] - norms[-2]) / 7)  # the layers beside the input and the loss differ
        assert theory(found, "gradient norm").holds
    assert np.mean(rates) == pytest.approx(math.log(1.211174), abs=0.02)


def test_batch_norm_residual_networks_grow_by_a_step_a_block():
    steps, gradients = [], []
    for seed in range(6):
        found = measure(residual_normed(WIDTH, 12, seed), batch=WIDTH, seed=seed)
        variance = found["channel variance"]
        steps.append((variance[-1] - variance[0]) / 12)
        expected = theory(found, "gradient norm")
        gradients.append(2 * math.log(found["gradient norm"][0] / expected.values[0]))
        assert expected.holds
    error = np.std(steps, ddof=1) / math.sqrt(6)
    assert abs(np.mean(steps) - 0.681690) < 5 * error
    assert error < 0.02
    assert abs(np.mean(gradients)) < 0.15


@pytest.mark.parametrize(
    ("make", "design"),
    [
        (lambda: plain(WIDTH, 10, 0), "plain, He"),
        (lambda: normed(WIDTH, 10, 0), "plain, BatchNorm"),
        (lambda: residual_stack(WIDTH, 10), "residual, unscaled"),
        (lambda: residual_stack(WIDTH, 10, Additive(scale=10**-0.5)), "residual, 1/√L"),
        (
            lambda: residual_stack(WIDTH, 10, Additive(scale=0.0, learned=True)),
            "residual, identity",
        ),
        (lambda: residual_normed(WIDTH, 10, 0), "residual, BatchNorm"),
        (lambda: plain(WIDTH, 10, 0, gain=8.0), "none"),
    ],
)
def test_the_design_is_recognised(make: Callable[[], nn.Module], design: str):
    assert nearest_design(measure(make(), batch=64)) == design


def test_a_block_that_starts_at_zero_passes_all_exactly():
    found = measure(residual_stack(32, 6, Additive(scale=0.0, learned=True)), 32)
    assert len(set(found["gradient norm"])) == len(set(found["second moment"])) == 1
    expected = theory(found, "gradient norm")
    assert expected.values == pytest.approx(found["gradient norm"], rel=1e-12)
    assert expected.low == expected.high == expected.values


def test_correlations_follow_the_map():
    found = measure(plain(512, 10, 0), 512, batch=8)
    np.testing.assert_allclose(found["correlation"], theory(found, "correlation").values, atol=0.05)


def test_a_theory_says_whether_its_condition_is_met():
    batch = torch.randn(8, 3, 8, 8), torch.zeros(8, dtype=torch.long)
    holds, told = {}, {}
    for described in (plain20(), resnet20(), preresnet20()):
        found = signal(build_network(described, SMALL), batch)
        holds[described.name] = theory(found, "gradient norm").holds
        told[described.name] = sum(map(math.isfinite, theory(found, "gradient norm").values))
    assert holds == {"plain20": True, "resnet20": False, "preresnet20": True}
    assert told == {"plain20": 10, "resnet20": 10, "preresnet20": 9}  # whose first skip is N(x)


def test_it_measures_torchvisions_network_and_says_nothing_that_it_cannot_know():
    torch.manual_seed(0)
    x, labels = torch.randn(4, 3, 64, 64), torch.arange(4)
    found = signal(resnet18(num_classes=5), (x, labels))
    assert {t.name for t in found.theories if t.holds} == {"residual, ReLU after the sum"}  # v1
    assert all(map(math.isfinite, found["gradient norm"]))
    assert "longest of one shape" in found.notes[0]


def test_layers_of_a_sequential_are_measured_where_they_begin():
    torch.manual_seed(0)
    parts = [part for _ in range(4) for part in (layer(64), nn.ReLU(inplace=True))]
    found = measure(nn.Sequential(*parts), 64)
    assert found.rows == ("0", "2", "4", "6")
    assert theory(found, "second moment").holds
