"""A disk that is full ends a study with one sentence, and it goes on where there is room again."""

from pathlib import Path

import pytest

from tests.contracts.test_disk import call
from tests.references import rings_file
from tests.studies.small import weights_below

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("processes")]


@pytest.mark.slow
def test_a_full_disk_ends_a_study_in_one_sentence_and_loses_nothing(tmp_path: Path):
    words = (
        "compare", str(rings_file(tmp_path / "rings.npz", 120)), "--network", "resnet20",
        "--strategy", "sgd,momentum", "--seeds", "1", "--steps", "4", "--batch-size", "32",
        "--set", "network.width=8", "--quiet", "--no-report",
    )  # fmt: skip
    full = call(*words, "--out", "full", largest_file=100_000)
    assert full.returncode == 2
    last = full.stderr.strip().splitlines()[-1]
    assert last.startswith("skipwise: the study cannot go on: File too large: ")
    assert last.endswith("what was saved before is as it was")
    assert "Traceback" not in full.stderr
    for folder in ("full", "whole"):
        assert call(*words, "--out", folder).returncode == 0
    assert weights_below(Path("full")) == weights_below(Path("whole"))
    assert len(weights_below(Path("full"))) == 2
