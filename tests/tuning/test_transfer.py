"""What is measured of a transfer, on networks whose best rate goes with the depth as is known."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from skipwise.branches import PreActivation
from skipwise.cli.tuning import as_plain
from skipwise.connections import Additive, StochasticDepth
from skipwise.data import Arrays, Dataset
from skipwise.description import Call
from skipwise.experiment import Experiment, compose
from skipwise.networks import ResidualMLP, ResNet
from skipwise.strategies import (
    LBFGS,
    SAM,
    SGD,
    Adam,
    Constant,
    Cosine,
    Freezing,
    Optimiser,
    Strategy,
    adam,
    momentum,
)
from skipwise.tuning import Check, check_transfer, movement, movement_slope
from skipwise.tuning.slope import Slope
from skipwise.tuning.transfer import Transfer, kept_of, regret_of

RULE = Strategy(name="plain", optimiser=SGD(), peak_lr=0.05, schedule=Constant())
QUICK = Check(seeds=2, steps=8, rates=5)
FEW = Check(seeds=2, steps=5, rates=3, reach=1.5)
ROOT = Additive(scale_by_depth=0.5, base_depth=2)


class Times(nn.Module):
    """``b·W·x`` with W = 0 at first: the best rate of gradient descent goes as 1/b²."""

    def __init__(self, inputs: int, outputs: int, factor: float):
        super().__init__()
        self.factor, self.linear = factor, nn.Linear(inputs, outputs, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.linear(x)


def as_the_depth(inputs, outputs, blocks: int) -> nn.Module:
    return Times(inputs[0], outputs[0], float(blocks))


def whatever_the_depth(inputs, outputs, blocks: int) -> nn.Module:
    return Times(inputs[0], outputs[0], 1.0)


def pair(folder: Path, function: str) -> tuple[Experiment, Experiment, Dataset]:
    noise = np.random.default_rng(0)
    x = noise.normal(size=(64, 4)).astype(np.float32)
    y = (x @ noise.normal(size=(4, 3)) + 0.3 * noise.normal(size=(64, 3))).astype(np.float32)
    np.savez(folder / "line.npz", x=x, y=y, x_val=x, y_val=y)
    target = f"{__name__}:{function}"
    few, many = (Call(target=target, arguments={"blocks": n}) for n in (1, 16))
    shallow, dataset = compose(
        Arrays(path=str(folder / "line.npz")), few, RULE, batch_size=64, precision="float32"
    )
    return shallow, replace(shallow, network=many), dataset


def test_a_network_that_its_depth_does_not_change_passes(tmp_path: Path):
    found = check_transfer(*pair(tmp_path, "whatever_the_depth"), replace(QUICK, rates=7))
    assert found.holds
    assert found.slope.value == pytest.approx(0)
    assert found.slope.low < 0 < found.slope.high
    assert (found.coordinates, found.regret) == (pytest.approx(0, abs=1e-6), 0)
    assert sorted(found.losses) == [1, 2, 4]
    assert sorted(found.moved) == [1, 2, 4, 8, 16]
    assert found.verdict.startswith("the rate of 1 blocks holds for 16: the slope")
    assert found.strategy == RULE


def test_a_best_rate_that_falls_as_the_square_of_the_depth_is_found_and_refused(tmp_path: Path):
    told: list[str] = []
    found = check_transfer(*pair(tmp_path, "as_the_depth"), replace(QUICK, rates=7), told.append)
    assert found.slope.value == pytest.approx(-2, abs=1e-3)
    assert found.slope.low < -2 < found.slope.high < -1.8
    assert not found.holds
    assert found.suggested[1] == pytest.approx(0.05 / 16**2, rel=0.01)
    assert "not transferable from 1 to 16 blocks: the stream moves with the depth" in found.verdict
    assert "the slope suggests --set strategy.peak_lr=0.000" in found.verdict
    assert told[0] == (
        "before the run, 18 to 28 runs of 8 updates at each of 1, 2, 4 blocks: as much work as 63"
        " to 98 updates of the deep network"
    )


def test_the_movement_of_the_stream_is_that_of_its_update(tmp_path: Path):
    shallow, _, dataset = pair(tmp_path, "as_the_depth")
    x, y = dataset.train.gather(torch.arange(64))
    x, y = dataset.preprocessing(x).double(), dataset.preprocessing.scaled(y).double()
    weight, seen = torch.zeros(3, 4, dtype=torch.float64), []
    for _ in range(5):
        weight = weight - 0.05 * 2 * (x @ weight.T - y).T @ x / 64
        seen.append(float((x @ weight.T).abs().mean()))
    assert movement(shallow, dataset, seed=0) == pytest.approx(seen, rel=1e-5)
    falling = replace(shallow, strategy=replace(RULE, schedule=Cosine()))
    assert movement(falling, dataset, seed=0) == movement(shallow, dataset, seed=0)


def test_movement_is_no_noise_of_layers_and_draws_nothing_of_the_callers():
    noisy = {"connection": StochasticDepth(survival=0.5), "branch": PreActivation(dropout=0.5)}
    network = ResNet(name="small", blocks=(1, 1), width=4, **noisy)
    still = replace(momentum(), peak_lr=1e-12)
    experiment, dataset = compose("digits", network, still, batch_size=32)
    before = torch.get_rng_state()
    moved = movement(experiment, dataset, seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert max(moved) < 1e-6


def test_parts_that_stop_later_in_the_run_move_in_its_first_steps():
    network = ResNet(name="small", blocks=(1, 1), width=4)
    experiment, dataset = compose("digits", network, momentum(), batch_size=32)
    stopping = replace(momentum(), freezing=Freezing(first=0.2))
    found = movement(replace(experiment, strategy=stopping), dataset, seed=0)
    assert found == movement(experiment, dataset, seed=0)


def perceptrons(folder: Path, **power: float) -> tuple[Experiment, Experiment, Dataset]:
    """Residual perceptrons of 4 and of 16 blocks, on digits as rows, in whole batches."""
    digits: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    x, y = (digits.data[order] / 16).astype(np.float32), digits.target[order]
    few = {"x": x[:256], "y": y[:256], "x_val": x[1200:], "y_val": y[1200:]}
    np.savez(folder / "rows.npz", allow_pickle=False, **few)
    network = ResidualMLP(blocks=4, width=32, connection=Additive(**power))  # pyright: ignore
    tuned = replace(adam(), peak_lr=0.01, schedule=Constant())
    data = Arrays(path=str(folder / "rows.npz"))
    shallow, dataset = compose(data, network, tuned, batch_size=256, precision="float32")
    return shallow, replace(shallow, network=replace(network, blocks=16)), dataset


@pytest.mark.slow
def test_adams_rate_holds_where_residual_branches_are_divided_by_the_depth(tmp_path: Path):
    many = Check(seeds=6, steps=12, rates=5)
    found = check_transfer(*perceptrons(tmp_path, scale_by_depth=1.0, base_depth=4), many)
    assert found.holds, found.verdict
    assert abs(found.slope.value) < 0.1
    assert abs(found.coordinates) < 0.05


def test_the_same_branches_as_they_are_move_the_stream_with_the_depth(tmp_path: Path):
    found = check_transfer(*perceptrons(tmp_path), replace(FEW, reach=4.0))
    assert not found.holds
    assert found.coordinates > 0.3


def test_a_step_in_which_no_depth_moves_says_nothing_of_the_slope():
    table = {2: [0.0, 2.0, 8.0], 8: [0.0, 4.0, 16.0]}
    assert movement_slope(table) == pytest.approx(0.5)
    assert movement_slope({2: [0.0, 2.0], 8: [1.0, 4.0]}) == math.inf


def test_adams_rate_between_stem_and_head_is_scaled_to_the_depth():
    network = ResNet(name="small", blocks=(1, 1), width=4)
    deep = replace(network, blocks=(4, 4), connection=ROOT)
    shallow, dataset = compose("digits", network, adam(), batch_size=32)
    found = check_transfer(shallow, replace(shallow, network=deep), dataset, FEW)
    assert found.strategy.rates == pytest.approx({"branch": 0.5, "norm": 0.5, "bias": 0.5})
    assert found.power == 0.5
    assert "blocks  best rate  moved after 1 and 5 steps" in str(found)


@pytest.mark.parametrize(
    ("rule", "path"), [(Adam(), "epsilon"), (SAM(base=Adam()), "base.epsilon")], ids=repr
)
def test_the_suggested_rate_comes_with_the_epsilon_that_it_was_measured_with(
    rule: Optimiser, path: str
):
    """CompleteP: the rate stays, and so do all roles'; ε falls with the depth."""
    few = ResNet(name="small", blocks=(1, 1), width=4)
    deep = replace(few, blocks=(4, 4), connection=Additive(scale_by_depth=1.0, base_depth=2))
    tuned = replace(adam(), optimiser=rule)
    shallow, dataset = compose("digits", few, tuned, batch_size=32)
    found = check_transfer(shallow, replace(shallow, network=deep), dataset, FEW)
    assert found.strategy.rates == {}
    assert as_plain(found)["epsilons"] == {path: pytest.approx(1e-8 / 4)}
    told = replace(found, regret=found.spread + 1).verdict  # whatever else was found
    assert told.endswith(f" with --set strategy.optimiser.{path}=2.5e-09")


def test_the_regret_is_taken_at_the_multiple_that_is_best_for_the_run():
    few = {0.0: [1.0, 1.2], 1.0: [1.1, 1.1], 2.0: [2.0, 2.0]}  # the first two are alike
    deep = {0.0: [0.5, 0.7], 1.0: [0.3, 0.4], 2.0: [0.9, 0.9]}
    assert (kept_of(few, 0.3), kept_of(few, 1.9)) == (0.0, 1.0)
    assert regret_of(deep, 0.0) == pytest.approx((0.25, math.sqrt(0.005)))
    assert regret_of(deep, 1.0)[0] == 0.0
    assert regret_of({**deep, 3.0: [math.inf, 1.0]}, 3.0)[0] == math.inf


def measured(
    low: float, high: float, coordinates: float = 0.0, regret: float = 0.0, spread: float = 1.0
) -> Transfer:
    """Give what a measurement from 2 to 32 blocks would say with these numbers."""
    slope = Slope(value=(low + high) / 2, low=low, high=high, optima={2: 0.0, 8: 0.0})
    return Transfer(
        depths=(2, 32),
        power=0.5,
        strategy=RULE,
        epsilons={},
        moved={2: [1.0], 8: [1.0]},
        coordinates=coordinates,
        slope=slope,
        losses={2: {0.0: [1.0]}, 8: {0.0: [1.0]}},
        regret=regret,
        spread=spread,
        seconds=0.0,
    )


@pytest.mark.parametrize(
    ("numbers", "fault"),
    [
        ((-0.25, 0.25), ""),
        ((-0.25, 0.25, 0.15, 1.0, 1.0), ""),
        ((-0.26, 0.1), r"is -0.08 \(-0.26 to 0.10\), not known within ±0.25: more seeds"),
        ((-0.1, 0.26), "not known within ±0.25"),
        ((0.01, 0.2), r"is 0.11 \(0.01 to 0.20\), without 0"),
        ((-0.2, -0.01), "without 0"),
        ((-0.1, 0.1, 0.16), "to the power 0.16 in the first steps, not within ±0.15"),
        ((-0.1, 0.1, -0.16), "to the power -0.16"),
        ((-0.1, 0.1, 0.0, 1.1, 1.0), "at 8 blocks the best rate of 2 costs a loss of 1.1, more"),
    ],
)
def test_a_rate_holds_within_the_limits_that_are_told_and_not_beyond(numbers, fault: str):
    found = measured(*numbers)
    assert found.holds is not bool(fault)
    assert len(found.faults) == bool(fault)
    assert re.search(fault, found.verdict)
    ends = [0.05 * 16**slope for slope in (numbers[0], sum(numbers[:2]) / 2, numbers[1])]
    assert found.suggested == pytest.approx(ends)


def test_what_cannot_be_checked_is_refused(tmp_path: Path):
    shallow, deep, dataset = pair(tmp_path, "as_the_depth")
    with pytest.raises(ValueError, match="has 16 blocks and this one 1; a rate is taken over to a"):
        check_transfer(deep, shallow, dataset, QUICK)
    own = replace(shallow, strategy=replace(RULE, optimiser=LBFGS()))
    with pytest.raises(ValueError, match="LBFGS finds the size of its steps itself"):
        check_transfer(own, deep, dataset, QUICK)
    for numbers, told in (
        ({"seeds": 1}, "an interval needs at least 2 seeds, got 1"),
        ({"steps": 4}, "steps must be at least 5, got 4"),
        ({"rates": 4}, "rates must be an odd number from 3 on, got 4"),
        ({"reach": 1.0}, "reach must be above 1, got 1.0"),
    ):
        with pytest.raises(ValueError, match=told):
            Check(**numbers)  # pyright: ignore[reportArgumentType]
