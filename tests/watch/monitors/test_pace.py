"""When a monitor measures: early, evenly, and never for more than its share of the time."""

import pytest

from skipwise.watch.monitors import Pace, Spent, next_point


def run_through(pace: Pace, steps: int, step_seconds: float, cost: float) -> list[int]:
    """Take steps and measure when it is due; give when that was."""
    spent, found = Spent(), []
    for step in range(steps + 1):
        if step:
            spent.add(step_seconds)
        if pace.is_due(step, steps, spent):
            pace.measured(step, cost)
            found.append(step)
    return found


def test_the_points_of_a_long_run():
    points, last = [], -1
    while last < 20_000:
        last = next_point(last, 20_000)
        points.append(last)
    assert points == [0, 1, 2, 5, 10, 20, 50, *range(200, 20_001, 200)]


@pytest.mark.parametrize("cost", [1e-4, 0.01, 0.1, 0.5, 1.5])
@pytest.mark.parametrize("steps", [200, 400, 5000])
def test_its_time_is_at_most_its_share(cost: float, steps: int):
    pace = Pace(every=None, share=0.03, passes=lambda: cost / 0.3)
    found = run_through(pace, steps, 0.3, cost)
    assert pace.seconds == pytest.approx(len(found) * cost)
    assert pace.seconds <= 0.03 * steps * 0.3


def test_two_minutes_of_quick_probes_hold_twenty_measurements_and_the_first_steps():
    found = run_through(Pace(every=None, share=0.03, passes=lambda: 0.5), 400, 0.3, 0.15)
    assert len(found) >= 20
    assert found[:5] == [0, 1, 2, 5, 10]


def test_a_probe_that_costs_more_waits_longer():
    counts = [
        len(run_through(Pace(every=None, share=0.03, passes=lambda: 1.0), 2000, 0.3, cost))
        for cost in (0.01, 0.5, 1.0, 2.0, 20.0)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 100
    assert 3 <= counts[3] <= 9
    assert counts[4] == 1  # its cost is not known before


def test_what_is_expected_to_cost_too_much_is_not_tried():
    assert run_through(Pace(every=None, share=0.03, passes=lambda: 100.0), 400, 0.3, 30.0) == []


def test_the_share_of_one_that_is_too_dear_goes_to_the_others():
    dear = Pace(every=None, share=0.015, passes=lambda: 9.0)
    cheap = Pace(every=None, share=0.015, passes=lambda: 0.5)
    spent, seconds = Spent(), 0.0
    for step in range(401):
        if step:
            spent.add(0.3)
        for pace, other, cost in ((cheap, dear, 0.15), (dear, cheap, 2.7)):
            if pace.is_due(step, 400, spent, other.left_over(400, spent)):
                pace.measured(step, cost)
                seconds += cost
    assert dear.count == 0
    assert cheap.count >= 22
    assert seconds <= 0.03 * 400 * 0.3


def test_what_is_left_over_is_too_little_for_one_more_measurement():
    pace, spent = Pace(every=None, share=0.03, passes=lambda: 3.5), Spent()
    for _ in range(10):
        spent.add(2.0)
    assert pace.left_over(500, spent) == pytest.approx(2)  # of 30 seconds, in sevens
    assert pace.left_over(500, spent, held=4.0) == pytest.approx(5)
    pace.measured(0, 8.0)
    assert pace.left_over(500, spent) == pytest.approx(6)  # of 22, in eights
    assert pace.left_over(500, spent, held=23.0) == 0.0


def test_every_is_honoured_whatever_it_costs():
    pace = Pace(every=7, share=0.03, passes=lambda: 1.0)
    assert run_through(pace, 30, 0.1, 5.0) == [0, 7, 14, 21, 28]


def test_a_restored_pace_goes_on_where_it_was():
    whole = run_through(Pace(every=None, share=0.03, passes=lambda: 0.5), 400, 0.3, 0.15)
    first, spent, found = Pace(every=None, share=0.03, passes=lambda: 0.5), Spent(), []
    for step in range(401):
        if step == 100:
            second = Pace(every=None, share=0.03, passes=lambda: 50.0)  # it knows its cost
            second.restore(first.state())
            assert (second.last, second.count) == (found[-1], len(found))
            first = second
        if step:
            spent.add(0.3)
        if first.is_due(step, 400, spent):
            first.measured(step, 0.15)
            found.append(step)
    assert found == whole
