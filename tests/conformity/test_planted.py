"""Every planted bug is found by the checks that ought to, and their healthy twins pass."""

from dataclasses import replace

import pytest

from skipwise.conformity import CHECKS
from skipwise.data import Batch
from skipwise.strategies import (
    Shampoo,
    lion,
    shampoo,
    soap,
)
from skipwise.training import Run
from tests.conformity.planted import BESIDE, PLANTED, planted

BY_NAME = {check.name: check for check in CHECKS}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str):
    with planted(bug) as strategy:
        for name in PLANTED[bug][1]:
            outcome = BY_NAME[name](strategy)
            assert outcome.passed is False, f"{name}: {outcome.sentence}"
            assert "stops with" not in outcome.sentence


@pytest.mark.parametrize("bug", BESIDE)
def test_the_strategies_of_bugs_beside_them_are_healthy(bug: str):
    make, names = PLANTED[bug]
    for name in names:
        outcome = BY_NAME[name](make())
        assert outcome.passed, f"{name}: {outcome.sentence}"


def test_a_nan_that_only_the_state_of_a_rule_keeps_is_found(monkeypatch: pytest.MonkeyPatch):
    """torch's sign of NaN is 0: Lion's weight stands still, and its momentum is NaN for good."""
    healthy = BY_NAME["NaN"](lion())
    assert healthy.passed, healthy.sentence
    monkeypatch.setattr(
        Run, "is_finite", lambda run: all(p.isfinite().all() for p in run.model.parameters())
    )
    outcome = BY_NAME["NaN"](lion())
    assert outcome.passed is False
    assert "nobody is told" in outcome.sentence


def test_parts_that_lose_examples_are_found_where_rounding_moves_the_weights(
    monkeypatch: pytest.MonkeyPatch,
):
    healthy = BY_NAME["parts"](soap())
    assert healthy.passed, healthy.sentence
    assert healthy.numbers["by_rounding"] > 1e-3
    whole = Batch.parts
    monkeypatch.setattr(Batch, "parts", lambda batch, n: whole(batch, n)[: max(n - 1, 1)])
    outcome = BY_NAME["parts"](soap())
    assert outcome.passed is False
    assert outcome.numbers["gradients"] > 0.01


def test_roots_of_older_steps_and_a_small_epsilon_break_shampoo():
    healthy = BY_NAME["quadratic"](shampoo())
    assert healthy.passed, healthy.sentence
    stale = replace(shampoo(), optimiser=Shampoo(epsilon=1e-6, every=10))
    assert BY_NAME["quadratic"](stale).passed is False
