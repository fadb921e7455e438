"""Schedules of several phases against closed forms; averages and freezing by the step."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from skipwise.strategies import (
    LAWA,
    SWA,
    Constant,
    Cosine,
    Freezing,
    OneCycle,
    Polynomial,
    Restarts,
    Schedule,
    StableDecay,
    Steps,
    ToConstant,
)


def factors(schedule: Schedule, steps: int) -> list[float]:
    return [schedule.factor(step, steps) for step in range(steps)]


def test_stable_decay_rises_stays_and_falls_as_its_formula():
    wanted = [(n + 1) / 10 for n in range(10)] + [1.0] * 60 + [1 - n / 30 for n in range(30)]
    found = factors(StableDecay(warmup=0.1, decay=0.3), 100)
    assert found == pytest.approx(wanted, rel=1e-12)
    assert factors(StableDecay(warmup=0.0, decay=1.0), 4) == pytest.approx([1, 0.75, 0.5, 0.25])


def test_a_share_of_the_run_is_the_nearest_number_of_steps():
    peak = factors(OneCycle(rise=0.29), 33)  # 9.57 steps
    assert max(range(33), key=peak.__getitem__) == 10
    assert factors(StableDecay(warmup=0.0, decay=0.29), 33)[22:25] == pytest.approx([1, 1, 0.9])
    assert factors(StableDecay(warmup=0.17, decay=0.2), 33)[4:7] == pytest.approx([5 / 6, 1, 1])


def test_the_polynomial_is_torchs():
    from torch.optim.lr_scheduler import PolynomialLR

    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = PolynomialLR(optimiser, total_iters=50, power=3.0)
    wanted = []
    for _ in range(50):
        wanted.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        theirs.step()
    assert factors(Polynomial(power=3.0, warmup=0.0), 50) == pytest.approx(wanted, rel=1e-9)
    lifted = factors(Polynomial(power=2.0, end=0.2, warmup=0.1), 20)
    fall = [0.2 + 0.8 * (1 - n / 18) ** 2 for n in range(18)]
    assert lifted == pytest.approx([0.5, 1.0, *fall], rel=1e-12)


def test_restarts_are_torchs():
    from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = CosineAnnealingWarmRestarts(optimiser, T_0=10, T_mult=2)
    wanted = []
    for _ in range(70):
        wanted.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        theirs.step()
    assert factors(Restarts(cycles=3, growth=2.0), 70) == pytest.approx(wanted, rel=1e-9)


def test_restarts_begin_at_one_where_cycles_are_equal_and_after_a_rise():
    found = factors(Restarts(cycles=3, growth=1.0, warmup=0.1), 100)
    assert found[:10] == pytest.approx([(n + 1) / 10 for n in range(10)])
    assert [n for n in range(10, 100) if found[n] == 1.0] == [10, 40, 70]


def test_the_rate_falls_to_a_constant_and_stays():
    found = factors(ToConstant(until=0.6, end=0.25, warmup=0.1), 100)
    fall = [0.25 + 0.75 * 0.5 * (1 + math.cos(math.pi * n / 50)) for n in range(50)]
    wanted = [(n + 1) / 10 for n in range(10)] + fall + [0.25] * 40
    assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    "schedule",
    [
        StableDecay(),
        StableDecay(warmup=0.5, decay=0.5),
        Polynomial(),
        Restarts(),
        Restarts(cycles=20),
        ToConstant(),
    ],
    ids=repr,
)
def test_no_schedule_leaves_zero_to_one_however_short_the_run(schedule: Schedule):
    for steps in (1, 2, 3, 5, 50):
        assert all(0 < factor <= 1 for factor in factors(schedule, steps))


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(),
        Cosine(),
        OneCycle(),
        OneCycle(rise=0.95),
        Restarts(),
        Restarts(cycles=20),
        Restarts(warmup=0.95),
        Steps(),
        ToConstant(),
    ],
    ids=repr,
)
def test_a_run_that_is_over_has_a_factor_too(schedule: Schedule):
    for steps in (1, 2, 3, 5, 10, 50):
        assert 0 <= schedule.factor(steps, steps) <= 1


def test_the_last_cycle_ends_at_zero():
    assert Restarts().factor(70, 70) == 0.0
    assert OneCycle(end=0.1).factor(50, 50) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: StableDecay(warmup=5.0), r"warmup is a share of the run .* got 5.0; a twentieth"),
        (lambda: StableDecay(warmup=0.6, decay=0.5), "0.6 and decay 0.5 .* more than 1; lower one"),
        (lambda: StableDecay(decay=0.0), r"decay is a share .* \(0, 1\], got 0.0"),
        (lambda: Polynomial(power=0.0), "power must be positive and finite, got 0.0"),
        (lambda: Polynomial(end=1.0), r"end is a factor and must lie in \[0, 1\)"),
        (lambda: Restarts(cycles=0), "cycles must be positive, got 0; 1 never restarts"),
        (lambda: Restarts(growth=0.0), "growth must be positive"),
        (lambda: Restarts(growth=math.inf), "growth must be positive and finite, got inf"),
        (lambda: Restarts(growth=1e300), r"over 3 cycles makes the longest more than 1e\+09"),
        (lambda: Restarts(cycles=32), "growth of 2.0 over 32 cycles makes the longest more than"),
        (lambda: Polynomial(power=math.inf), "power must be positive and finite, got inf"),
        (lambda: ToConstant(until=1.0), r"until is a share of the run and must lie in \(0, 1\)"),
        (lambda: ToConstant(warmup=0.8), "warmup 0.8 leaves nothing of the fall"),
        (lambda: ToConstant(end=0.0), r"end is a factor and must lie in \(0, 1\]"),
        (lambda: SWA(last=0.0), r"last is a share .* got 0.0; a quarter is usual"),
        (lambda: SWA(every=0), "every must be positive"),
        (lambda: LAWA(latest=0), "latest must be positive, got 0; 6 is usual"),
        (lambda: LAWA(distance=0.0), r"distance is a share .* got 0.0; one epoch's"),
        (lambda: Freezing(first=1.0), r"first is a share of the run and must lie in \(0, 1\)"),
        (lambda: Freezing(first=0.5, last=0.4), "the parts stop from the stem on"),
        (lambda: Freezing(power=0.0), "power must be positive"),
        (lambda: Freezing(power=math.inf), "power must be positive and finite, got inf"),
    ],
)
def test_settings_without_a_meaning_are_refused_in_a_sentence(make, told: str):
    with pytest.raises(ValueError, match=told):
        make()


@pytest.mark.parametrize(
    ("every", "counted"), [(1, range(76, 101)), (5, range(80, 101, 5)), (30, range(100, 101))]
)
def test_the_average_is_the_mean_of_the_last_quarter(every: int, counted: range):
    """The counted steps are those after 75 of 100, each of them or each so many to the last."""
    weights = np.random.default_rng(0).normal(size=101)
    rule, average = SWA(last=0.25, every=every), 0.0
    for step in range(1, 101):
        average += rule.share(step, 100) * (weights[step] - average)
        if step <= 75:
            assert average == pytest.approx(weights[step], rel=1e-12)
    assert average == pytest.approx(weights[list(counted)].mean(), rel=1e-12)


def test_of_the_latest_weights_each_has_the_share_of_its_number():
    """Every tenth of 100 steps counts, the last among them; of 95 likewise, from the end."""
    rule = LAWA(latest=3, distance=0.1)
    shares = [rule.share(step, 100) for step in range(1, 101)]
    assert shares[:9] == [1.0] * 9
    assert shares[9:50:10] == [1.0, 1 / 2, 1 / 3, 1 / 3, 1 / 3]
    assert [step for step, share in enumerate(shares, 1) if share and step > 9] == [
        *range(10, 101, 10)
    ]
    counted = LAWA(latest=3, distance=10 / 95)
    assert [s for s in range(1, 96) if 0 < counted.share(s, 95) < 1] == [*range(15, 96, 10)]
    assert all(rule.share(step, 4) == 1 / min(step, 3) for step in range(1, 5))
    rounded = LAWA(latest=3, distance=0.29)  # 100 times that is just below 29
    assert [s for s in range(1, 101) if 0 < rounded.share(s, 100) < 1] == [42, 71, 100]
    assert LAWA().share(89, 90) == LAWA().share(90 * 391, 90 * 391) == 1 / 6


def test_parts_stop_in_their_order_at_their_shares():
    rule = Freezing(first=0.5, last=0.9)
    found = [rule.stopped(step, 100, parts=5) for step in range(100)]
    assert [found.index(n) for n in range(1, 6)] == [50, 60, 70, 80, 90]
    cubic = Freezing(first=0.5, power=3.0)
    found = [cubic.stopped(step, 1000, parts=3) for step in range(1000)]
    assert [found.index(n) for n in (1, 2)] == [125, round(0.75**3 * 1000)]
    assert max(found) == 2  # the last part, whose share is 1, never stops
