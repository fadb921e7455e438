"""Data that the commands are called with."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.references import rings_file


@pytest.fixture
def rings(tmp_path: Path) -> str:
    return str(rings_file(tmp_path / "rings.npz"))


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    noise = np.random.default_rng(0)
    for name, red in (("cat", 200), ("dog", 20)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for n in range(20):
            picture = noise.integers(0, 50, (12, 12, 3), dtype=np.uint8)
            picture[..., 0] += np.uint8(red)
            Image.fromarray(picture).save(tmp_path / "pets" / name / f"{n}.png")
    return str(tmp_path / "pets")
