"""Numbers and times as a reader wants them: rounded first, then the unit is chosen."""

import math

import pytest

from skipwise.reports.words import duration, number


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0312, "31.2 ms"),
        (0.9996, "1 s"),
        (59.94, "59.9 s"),
        (59.97, "1 min 0 s"),
        (119.7, "2 min 0 s"),
        (3599.8, "1 h 0 min"),
        (7199.0, "2 h 0 min"),
        (math.nan, "not finite"),
    ],
)
def test_a_time_never_shows_sixty_of_a_unit(seconds: float, words: str):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"), [(9999.4, "9999"), (9999.9, "10,000"), (-9999.9, "-10,000")]
)
def test_a_number_that_rounds_to_ten_thousand_is_written_as_it(value: float, words: str):
    assert number(value) == words
