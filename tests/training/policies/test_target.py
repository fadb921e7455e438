"""A run ends where its target is reached, and doubles while that helps."""

import pytest

from skipwise.training import Target


def lengths(target: Target, values: list[float], steps: int = 10) -> list[int]:
    """Evaluate at the end of every cycle, and give the lengths that follow."""
    found, best = [], float("nan")
    for value in values:
        best = value if best != best else (max if target.higher else min)(best, value)
        steps = target.length(steps, steps, now=value, best=best)
        found.append(steps)
    return found


def test_the_run_doubles_until_the_target_is_reached():
    assert lengths(Target(value=0.9, higher=True, doublings=5), [0.5, 0.6, 0.9]) == [20, 40, 40]


def test_it_ends_where_a_doubling_brought_nothing():
    assert lengths(Target(value=0.9, higher=True, doublings=5), [0.5, 0.4]) == [20, 20]


def test_it_doubles_no_oftener_than_it_may():
    assert lengths(Target(value=0.9, higher=True, doublings=1), [0.5, 0.6]) == [20, 20]
    assert lengths(Target(value=0.9, higher=True), [0.5]) == [10]


def test_less_is_better_for_a_loss():
    assert lengths(Target(value=0.1, higher=False, doublings=5), [0.5, 0.1]) == [20, 20]
    assert Target(value=0.1, higher=False).is_reached(0.1)


def test_within_a_cycle_only_the_target_itself_changes_the_length():
    target = Target(value=0.9, higher=True, doublings=5)
    assert target.length(3, 10, now=0.5, best=0.5) == 10
    assert target.length(4, 10, now=0.95, best=0.95) == 4


def test_what_was_doubled_is_state():
    target, again = (Target(value=0.9, higher=True, doublings=1) for _ in range(2))
    target.length(10, 10, now=0.5, best=0.5)
    again.restore(target.state())
    assert again.length(20, 20, now=0.6, best=0.6) == 20
    assert again.before == pytest.approx(0.5)


@pytest.mark.parametrize(("value", "higher"), [(92.0, True), (0.0, True), (-1.0, False)])
def test_a_target_that_cannot_be_or_is_always_reached_is_refused(value: float, higher: bool):
    with pytest.raises(ValueError, match="a target"):
        Target(value=value, higher=higher)
