"""The range test against the stability limit of least squares; nothing of the caller's changes."""

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import skipwise
from skipwise.data import Arrays, Dataset
from skipwise.experiment import Experiment, compose
from skipwise.networks import ResNet, residual_linear, residual_mlp
from skipwise.randomness import seeded
from skipwise.strategies import SGD, Freezing, Guard, Strategy, nesterov
from skipwise.tuning import FoundRate, NothingFound, Search, Sweep, find_rate, rate_of, sweep
from skipwise.tuning.confirm import alike, best_of, climb, interval, middle, scores_of, tidy
from skipwise.tuning.range_test import explodes
from skipwise.tuning.search import _notes, beginning
from skipwise.tuning.trials import Trial, begun, check_rate_is_theirs, losses_of

TINY = ResNet(name="tiny", blocks=(1, 1), width=4)
PLAIN = Strategy(name="plain", optimiser=SGD(), peak_lr=0.1)
with seeded("shared"):
    SHARED = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Linear(16, 10))
FEW = Search(seeds=2, steps=20)


def one_and_the_same() -> nn.Module:
    return SHARED


def rates_of(found: FoundRate) -> list[float]:
    return sorted({trial.rate for trial in found.trials})


def run_of(loss: float, *, rate: float = 0.1, seed: int = 0) -> Trial:
    return Trial(rate=rate, seed=seed, losses=(loss, loss), validation={"loss": loss})


def least_squares(folder: Path, spread: float) -> tuple[Experiment, Dataset, float]:
    """Give a linear regression on whole batches, and its stability limit 2/λ.

    The task's loss is the mean over examples of the summed squares, so its curvature is twice the
    largest eigenvalue of the second moments of (x, 1).
    """
    noise = np.random.default_rng(0)
    x = (noise.normal(size=(64, 4)) * [spread, 1.0, 0.5, 0.3]).astype(np.float32)
    y = x @ noise.normal(size=(4, 4)).astype(np.float32)
    np.savez(folder / "line.npz", x=x, y=y, x_val=x, y_val=y, x_test=x, y_test=y)
    data = Arrays(path=str(folder / "line.npz"))
    experiment, dataset = compose(data, residual_linear(), PLAIN, batch_size=64)
    seen = dataset.preprocessing(dataset.train.gather(torch.arange(64))[0]).double()
    with_one = torch.cat([seen, torch.ones(64, 1, dtype=torch.float64)], dim=1)
    moments = with_one.T @ with_one / 64
    return experiment, dataset, 2 / (2 * torch.linalg.eigvalsh(moments).max().item())


@pytest.mark.parametrize("spread", [1.0, 10.0])
def test_the_loss_explodes_just_above_the_stability_limit(tmp_path: Path, spread: float):
    experiment, dataset, limit = least_squares(tmp_path, spread)
    found = sweep(experiment, dataset, low=limit / 1e3, high=limit * 1e2, steps=100, seed=0)
    # A mode's size is exp ∫ log|1 − x| dx/x, least at the limit x = 2, and is what it was at first
    # where that integral, −Re Li₂(x), is 0 again: x = 12.6, 6.3 times the limit.
    assert limit < found.limit < 6.3 * limit
    # Modes of less curvature go on falling meanwhile, so that the sum turns between the two.
    assert limit < found.turn < found.limit


def test_a_guard_and_parts_that_stop_are_set_aside(tmp_path: Path):
    experiment, dataset, limit = least_squares(tmp_path, 3.0)
    found = []
    for more in ({}, {"guard": Guard(patience=1), "freezing": Freezing(first=0.2)}):
        changed = dataclasses.replace(PLAIN, **more)
        of_these = dataclasses.replace(experiment, network=residual_mlp(), strategy=changed)
        ends = {"low": limit / 1e3, "high": limit * 1e4}
        found.append(sweep(of_these, dataset, **ends, steps=40, seed=0))
    assert found[0].exploded
    assert found[0] == found[1]


def test_gradient_descent_is_stable_below_the_limit_and_not_above(tmp_path: Path):
    experiment, dataset, limit = least_squares(tmp_path, 3.0)
    for factor, grows in ((0.97, False), (1.03, True)):
        held = dataclasses.replace(
            PLAIN, peak_lr=factor * limit, schedule=skipwise.strategies.Constant()
        )
        changed = dataclasses.replace(experiment, strategy=held)
        with begun(changed, dataset, 0, 400) as (run, _):
            losses = list(losses_of(run))
        assert (losses[-1] > losses[0]) is grows


def test_rates_rise_by_one_factor_and_groups_keep_their_ratios(tmp_path: Path):
    experiment, dataset = compose(
        "digits", TINY, dataclasses.replace(PLAIN, layer_decay=0.5), batch_size=32
    )
    found = sweep(experiment, dataset, low=1e-4, high=1e-1, steps=31, seed=0)
    assert found.rates == pytest.approx(list(np.geomspace(1e-4, 1e-1, 31)), rel=1e-12)
    with begun(experiment, dataset, 0, 2) as (run, _):
        list(losses_of(run))
        rates = {group["factor"]: group["lr"] for group in run.optimiser.param_groups}
    assert len(rates) > 2
    assert all(lr == pytest.approx(factor * rates[1.0]) for factor, lr in rates.items())


def test_nothing_of_the_callers_changes():
    before = {name: value.clone() for name, value in SHARED.state_dict().items()}
    generators = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"]
    SHARED.eval()
    found = find_rate("digits", one_and_the_same, search=FEW, batch_size=32)
    after = SHARED.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert len(found.trials[0].losses) == 20
    assert not SHARED.training
    assert all(p.grad is None for p in SHARED.parameters())
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert np.array_equal(np.random.get_state(legacy=False)["state"]["key"], generators[1])
    assert not list(Path().iterdir())


def test_a_search_says_what_it_found(tmp_path: Path):
    experiment, dataset = compose("digits", TINY, batch_size=32)
    found = rate_of(experiment, dataset, FEW)
    again = sweep(experiment, dataset, low=FEW.low, high=FEW.high, steps=FEW.steps, seed=1)
    assert found.sweeps[1] == again
    assert found.low < found.rate < found.high
    scores = {rate: [t.score for t in found.trials if t.rate == rate] for rate in rates_of(found)}
    assert found.rate == middle(alike(scores))
    assert found.low < min(alike(scores)) <= max(alike(scores)) < found.high
    assert f"The rate is {found.rate:g}, the middle of those that" in str(found)
    assert found.setting == f"strategy.peak_lr={found.rate:g}"
    html = found._repr_html_()
    assert html.count("<polyline") == 2
    page = found.draw(tmp_path / "rate.html").read_text()
    assert all(sentence in page for sentence in found.words)
    ours = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "//" not in ours.replace("http://www.w3.org", "")


def test_a_best_rate_at_the_edge_is_said_with_the_side_to_look_on(tmp_path: Path):
    experiment, dataset, _ = least_squares(tmp_path, 1.0)
    tested = Sweep(seed=0, rates=(0.1, 1.0), losses=(1.0, math.inf), exploded=True)

    def said(*losses: float) -> list[str]:
        scores = {rate: [loss] for rate, loss in zip((0.1, 0.3, 0.9), losses, strict=True)}
        return list(_notes([tested], scores, 0.3, experiment, dataset))

    assert said(3.0, 1.0, 2.0) == []
    (low,), (high,) = said(1.0, 2.0, 3.0), said(3.0, 2.0, 1.0)
    assert low == "The best tried, 0.1, was the lowest, so a lower one may be better."
    assert high == "The best tried, 0.9, was the highest, so a higher one may be better."


def test_the_rate_of_the_updates_is_said_where_it_follows_the_batches():
    strategy = dataclasses.replace(nesterov(), rate_rule="linear", rate_batch=64)
    search = dataclasses.replace(FEW, low=1e-4)
    found = find_rate("digits", TINY, strategy, search=search, batch_size=32)
    rate = f"{found.rate / 2:.4g}: {found.rate:g} for batches of 64"
    told = f"The rate is {rate}, scaled in proportion to batches of 32."
    assert found.notes[-1] == told
    assert found.words[-1] == told


def test_a_loss_explodes_at_four_times_its_least_mean():
    assert not explodes([1.0] * 20 + [3.9] * 200)
    assert explodes([1.0] * 20 + [4.5] * 200)
    assert explodes([1.0, math.nan])
    assert not explodes([1.0] * 20 + [0.1] + [1.0] * 20)  # one low loss is no low mean


def test_the_curve_turns_where_it_is_least():
    rates = tuple(np.geomspace(1e-3, 1.0, 61))
    losses = tuple((math.log10(rate) + 1.5) ** 2 for rate in rates)
    found = Sweep(seed=0, rates=rates, losses=(*losses[:-1], math.inf), exploded=True)
    assert found.turn == pytest.approx(10**-1.5)
    assert found.limit == pytest.approx(1.0)
    assert dataclasses.replace(found, exploded=False).limit == math.inf
    noisy = dataclasses.replace(found, losses=tuple(n % 7 + abs(n - 30) for n in range(61)))
    # Over seven steps, three on either side of each, the noise has one mean: that of 0 to 6.
    assert noisy.curve[3:27] == pytest.approx([3 + 30 - n for n in range(3, 27)])
    assert noisy.turn == rates[30]
    with pytest.raises(NothingFound, match=r"rates from 0\.001 on; look again with .*low=1e-06"):
        beginning([dataclasses.replace(found, losses=tuple(float(n) for n in range(61)))])


def test_the_climb_goes_on_while_the_best_stands_at_the_edge():
    def losses(best: float):
        return lambda rate: [run_of(1 + abs(math.log(rate / best)), rate=rate)]

    # Factors of 3 until the best is enclosed, then of √3 on both its sides.
    assert sorted(climb(0.1, losses(0.1))) == [0.033, 0.058, 0.1, 0.17, 0.3]
    assert sorted(climb(0.1, losses(1.0))) == [0.033, 0.1, 0.3, 0.52, 0.9, 1.6, 2.7]
    assert sorted(climb(0.1, losses(1e-9)))[:4] == [0.00069, 0.0012, 0.0021, 0.0037]
    assert max(climb(0.1, lambda rate: [run_of(math.inf, rate=rate)])) == 0.3  # all diverge


def test_the_middle_of_what_is_alike_costs_less_than_the_best_of_noisy_means():
    noise, cost = np.random.default_rng(0), {"best": [], "middle": []}

    def excess(rate: float) -> float:  # of the loss, beyond its least at 0.1
        return 0.15 * math.log10(rate / 0.1) ** 2

    def noisy(rate: float) -> list[Trial]:
        return [run_of(1 + excess(rate) + 0.03 * noise.normal(), rate=rate) for _ in range(3)]

    for _ in range(400):
        scores = scores_of(climb(0.1 * 10 ** noise.uniform(-0.6, 0.6), noisy))
        cost["best"].append(excess(best_of(scores)))
        cost["middle"].append(excess(middle(alike(scores))))
    assert np.mean(cost["middle"]) < 0.8 * np.mean(cost["best"])


def test_the_middle_is_on_the_scale_of_logarithms():
    assert middle([0.01, 0.1, 0.3, 1.0]) == 0.1  # the root of 0.01 · 1
    assert middle([0.1, 0.17]) == 0.13
    assert middle([0.2]) == 0.2


def test_the_interval_holds_what_is_within_one_standard_error_of_the_best():
    best = [1.0, 1.2, 1.1]  # mean 1.1, standard error 0.1/√3 = 0.0577
    scores = {0.1: [1.1, 1.2, 1.17], 0.3: best, 0.9: [1.16, 1.16, 1.16], 2.7: [1.0, math.inf, 1.0]}
    assert best_of(scores) == 0.3
    low, high = interval(scores)
    assert (low, high) == pytest.approx((0.1 / math.sqrt(3), 0.3 * math.sqrt(3)))
    assert alike(scores) == [0.1, 0.3]
    closer = {0.1: best, 0.17: best, 0.3: best, 0.9: [9.0, 9.0, 9.0]}
    assert interval(closer)[1] == pytest.approx(math.sqrt(0.3 * 0.9))
    below = {0.001: [9.0] * 3, 0.01: [9.0] * 3, 0.1: best, 0.3: [9.0] * 3}
    assert interval(below) == pytest.approx((0.1 / math.sqrt(10), 0.1 * math.sqrt(3)))
    with pytest.raises(NothingFound, match=r"0\.1 to 0\.3 diverged; look again .*\(high=0\.033\)"):
        interval({0.1: [math.inf], 0.3: [math.inf]})


def test_the_end_of_a_run_is_the_mean_of_its_last_fifth_and_validation_decides():
    run = Trial(rate=0.1, seed=0, losses=(9.0,) * 8 + (2.0, 4.0))
    assert run.score == run.end_loss == pytest.approx(3.0)
    assert dataclasses.replace(run, validation={"loss": 0.5}).score == 0.5
    assert dataclasses.replace(run, losses=(1.0, math.nan)).score == math.inf


def test_a_rule_that_finds_its_own_steps_is_refused():
    class Prodigy(SGD):
        pass

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Around(SGD):
        base: SGD

    own = dataclasses.replace(PLAIN, optimiser=Prodigy())
    with pytest.raises(ValueError, match="Prodigy finds the size of its steps itself"):
        check_rate_is_theirs(own)
    with pytest.raises(ValueError, match="Prodigy finds"):
        check_rate_is_theirs(dataclasses.replace(PLAIN, optimiser=Around(base=Prodigy())))
    check_rate_is_theirs(PLAIN)


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ({"seeds": 0}, "seeds must be positive, got 0"),
        ({"steps": 19}, "a range test of 19 steps says nothing; give at least 20"),
        ({"low": 1.0, "high": 1.0}, "the range of rates from 1 to 1 is empty"),
        ({"low": -1.0}, "the range of rates from -1 to 10 is empty or not positive"),
        ({"high": math.nan}, "from 1e-06 to nan is empty"),
    ],
)
def test_a_search_that_cannot_find_anything_is_refused(numbers: dict[str, float], told: str):
    with pytest.raises(ValueError, match=told):
        Search(**numbers)  # pyright: ignore[reportArgumentType]


def test_rates_have_two_digits():
    assert [tidy(rate) for rate in (0.0333, 1.26, 2.5e-7)] == [0.033, 1.3, 2.5e-7]
