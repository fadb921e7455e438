"""Every planted bug is found by the checks that ought to, and healthy strategies pass them all."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

import skipwise.training.run
from skipwise.conformity import CHECKS
from skipwise.strategies import Strategy, adam, adamw, momentum, nesterov, sgd
from skipwise.training.policies.guard import History
from tests.conformity.planted import AVERAGED, PLANTED

BY_NAME = {check.name: check for check in CHECKS}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str):
    make, names = PLANTED[bug]
    for name in names:
        outcome = BY_NAME[name](make())
        assert outcome.passed is False, f"{name}: {outcome.sentence}"
        assert "stops with" not in outcome.sentence


@pytest.mark.parametrize("make", [sgd, momentum, nesterov, adam, adamw, lambda: AVERAGED])
@pytest.mark.parametrize("name", BY_NAME)
def test_a_healthy_strategy_passes(name: str, make: Callable[[], Strategy]):
    outcome = BY_NAME[name](make())
    assert outcome.passed is not False, outcome.sentence


def test_statistics_of_older_weights_are_found(monkeypatch: pytest.MonkeyPatch):
    healthy = BY_NAME["statistics"](AVERAGED)
    assert healthy.passed, healthy.sentence
    monkeypatch.setattr(skipwise.training.run, "with_own_statistics", lambda model, *_, **__: model)
    outcome = BY_NAME["statistics"](AVERAGED)
    assert outcome.passed is False
    assert "differ by" in outcome.sentence


def test_a_guard_that_sees_only_the_loss_lets_a_nan_through_the_clipping(
    monkeypatch: pytest.MonkeyPatch,
):
    clipped = replace(momentum(), clip_norm=1.0)
    healthy = BY_NAME["NaN"](clipped)
    assert healthy.passed, healthy.sentence
    blind = staticmethod(lambda loss, norm: "" if math.isfinite(loss) else "not finite")
    monkeypatch.setattr(History, "problem", blind)
    outcome = BY_NAME["NaN"](clipped)
    assert outcome.passed is False
    assert "a NaN in a gradient changes it" in outcome.sentence
