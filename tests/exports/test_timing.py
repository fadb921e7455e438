"""What an export says of its speed: medians, by turns, soon at an end."""

import time
from collections.abc import Callable

import numpy as np
import pytest

from skipwise.exports.timing import Speed, speeds

EXAMPLE = np.zeros((1, 2), np.float32)


def waiting(seconds: float, calls: list[int]) -> Callable[[np.ndarray], np.ndarray]:
    """Compute nothing, for so long an example; the first call and the fifth are held up."""

    def compute(examples: np.ndarray) -> np.ndarray:
        time.sleep(seconds * len(examples) + 0.1 * (len(calls) in (0, 4)))
        calls.append(len(examples))
        return examples

    return compute


def test_a_time_is_a_median_and_calls_that_are_held_up_do_not_count():
    calls: list[int] = []
    (found,) = speeds([waiting(0.002, calls)], EXAMPLE)
    assert set(calls) == {1, 16}
    assert 0.002 <= found.one_seconds < 0.01
    assert 0.032 <= found.several_seconds


def test_the_first_call_counts_only_where_it_is_alone(monkeypatch: pytest.MonkeyPatch):
    seconds = iter([0.1, 0.01, 0.02, 0.03, 0.01, 0.05, 0.02, 0.04, 0.02, 0.03, 0.5])
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def compute(examples: np.ndarray) -> np.ndarray:
        now[0] += next(seconds)
        return examples

    (found,) = speeds([compute], EXAMPLE)
    # Of nine calls the fifth in order; of 16 examples one call has taken all the time there is.
    assert (found.one_seconds, found.several_seconds) == pytest.approx((0.02, 0.5))


def test_files_take_turns_and_the_slower_one_is_the_slower_one():
    calls: list[int] = []
    fast, slow = speeds([waiting(0.001, calls), waiting(0.004, calls)], EXAMPLE)
    assert fast.one_seconds < slow.one_seconds
    assert fast.several_seconds < slow.several_seconds
    assert calls.index(16) % 2 == 0  # as many calls of each


def test_a_slow_file_is_called_once_for_each_size():
    calls: list[int] = []

    def slow(examples: np.ndarray) -> np.ndarray:
        time.sleep(0.45)
        calls.append(len(examples))
        return examples

    (found,) = speeds([slow], EXAMPLE)
    assert calls == [1, 16]
    assert 0.45 <= found.one_seconds < 1


@pytest.mark.parametrize(
    ("speed", "said"),
    [
        ((0.0004123, 0.0312), "0.412 ms for one example, 31.2 ms for 16"),
        ((0.25, 4.0), "250 ms for one example, 4.00 s for 16"),
    ],
)
def test_a_speed_is_said_in_the_unit_that_suits_it(speed: tuple[float, float], said: str):
    assert str(Speed(one_seconds=speed[0], several_seconds=speed[1])) == said
