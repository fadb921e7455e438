"""The table of known answers is within its tolerances."""

import pytest

from docs.known.oracle import exact, known
from docs.oracles import EXACT, FILE, INTRODUCTION


@pytest.mark.parametrize("part", EXACT, ids=lambda part: part.__name__)
def test_every_row_is_within_its_tolerance_and_in_the_table(part):
    found, written = list(part()), FILE.read_text()
    assert [row.name for row in found if not row.within] == []
    assert [row.name for row in found if f"| {row.name} |" not in written] == []


def test_the_file_holds_no_failure_and_no_name_twice():
    text = FILE.read_text()
    assert text.startswith(INTRODUCTION)
    assert "**no**" not in text
    names = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    assert len(names) == len(set(names)) > 150


def test_a_row_holds_to_half_of_the_last_digit_that_is_written():
    assert known("π", 3.14159, "3.1416").within
    assert not known("π", 3.14159, "3.1415").within
    assert "**no**" in str(known("π", 3.14159, "3.1415"))
    assert known("small", 1.44122e-4, "1.4412e-4").within
    assert not known("small", 1.4413e-4, "1.4412e-4").within
    assert not exact("one", 1 + 1e-15, 1, 0).within
