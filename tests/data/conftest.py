"""Data that several tests of data read."""

from pathlib import Path

import pytest

from tests.references import paint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(10):
        paint(tmp_path / "set" / "cat" / f"{n}.png", (200, n, 10))
        paint(tmp_path / "set" / "dog" / f"{n}.png", (20, n, 180))
    return tmp_path / "set"
