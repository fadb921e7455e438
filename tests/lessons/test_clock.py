"""A budget of seconds."""

import pytest

from skipwise.lessons import Clock


def test_what_is_left_is_the_budget_less_what_is_kept_and_spent():
    times = iter([10.0, 13.0, 13.0])
    clock = Clock(20, kept=2, now=lambda: next(times))
    assert clock.left == 15
    assert clock.spent == 3


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_budget_must_be_positive(seconds: float):
    with pytest.raises(ValueError, match="seconds must be positive"):
        Clock(seconds)
