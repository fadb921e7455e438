"""The table of known answers is within its tolerances."""

import pytest

from docs.oracles import FILE, closed_forms, exact_networks


@pytest.mark.parametrize("part", [closed_forms, exact_networks])
def test_every_row_is_within_its_tolerance(part):
    assert [row.name for row in part() if not row.within] == []


def test_the_file_holds_every_row_and_no_failure():
    text = FILE.read_text()
    assert "**no**" not in text
    for row in (*closed_forms(), *exact_networks()):
        assert f"| {row.name} |" in text
