"""New data brought to a run: which part is scored, and classes that go by their names."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from skipwise.prediction import load
from tests.cli.commands import SMALL, call, fails

LEVELS = {"0": 0, "1": 60, "2": 120, "10": 180}  # how red each class is


def paint(path: Path, red: int, noise: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = noise.integers(0, 40, (12, 12, 3), dtype=np.uint8)
    picture[..., 0] += np.uint8(red)
    Image.fromarray(picture).save(path)


@pytest.fixture
def run(capsys) -> str:
    """A run whose classes stand as folders do: 0, 1, 10, 2."""
    noise = np.random.default_rng(0)
    for name, red in LEVELS.items():
        for n in range(20):
            paint(Path("set", name, f"{n}.png"), red, noise)
    code, _, err = call(capsys, "train", "set", "--epochs", "25", "--out", "run", *SMALL)
    assert code == 0, err
    assert load("run").classes == ("0", "1", "10", "2")
    return "run"


def evaluated(capsys, *words: str) -> tuple[dict, str]:
    code, out, err = call(capsys, "evaluate", *words, "--json")
    assert code == 0, err
    return json.loads(out), err


def by_hand(files: list[Path], names: list[str]) -> float:
    """Give the share of pictures whose predicted name is theirs."""
    said = [p.label for p in load("run").predict(files)]
    return sum(a == b for a, b in zip(said, names, strict=True)) / len(files)


def test_data_that_lack_classes_are_scored_by_the_names_of_theirs(capsys, run: str):
    noise = np.random.default_rng(1)
    wrong = {"10": ["10"] * 6, "2": ["2", "2", "2", "10"]}  # one picture lies in the wrong folder
    for name, truths in wrong.items():
        for n, truth in enumerate(truths):
            paint(Path("new", name, f"{n}.png"), LEVELS[truth], noise)
    files = sorted(Path("new").rglob("*.png"))
    share = by_hand(files, [file.parent.name for file in files])
    assert share == 0.9
    found, err = evaluated(capsys, run, "new")
    assert found["accuracy"] == pytest.approx(share)
    assert {name: row["examples"] for name, row in found["per_class"].items()} == {
        "0": 0,
        "1": 0,
        "10": 6,
        "2": 4,
    }
    assert "no example of 0, 1; f1, a mean over all classes, takes 0 there" in err
    rows = "".join(f"{file},{file.parent.name}\n" for file in files)
    Path("list.csv").write_text("path,label\n" + rows)  # whose numbers stand as 2, 10
    assert evaluated(capsys, run, "list.csv")[0]["accuracy"] == pytest.approx(share)
    for file in Path("new", "2").iterdir():
        file.unlink()
    found, _ = evaluated(capsys, run, "new")  # one class, and an empty folder
    assert (found["accuracy"], found["examples"]) == (1.0, 6)


def test_a_class_that_the_network_does_not_know_is_named(capsys, run: str):
    paint(Path("new", "7", "0.png"), 0, np.random.default_rng(0))
    paint(Path("new", "2", "0.png"), 9, np.random.default_rng(0))
    told = fails(capsys, "evaluate", run, "new")
    assert "the classes differ: new has 7, known are only 0, 1, 10 and 1 more; rename" in told


def test_an_export_is_compared_on_data_that_lack_classes(capsys, run: str):
    noise = np.random.default_rng(1)
    for n in range(5):
        paint(Path("new", "10", f"{n}.png"), LEVELS["10"], noise)
    code, out, err = call(capsys, "export", run, "m.pt2", "--data", "new")
    assert code == 0, err
    assert "equals predict on 5 of all pictures" in out


class Few:
    """Examples of a user's own, of the first classes of the rings only."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, n: int) -> tuple[torch.Tensor, int]:
        return torch.full((3, 8, 8), 40 * n, dtype=torch.uint8), n % 3


def test_a_data_set_of_ones_own_may_lack_the_last_classes(capsys, rings: str):
    call(capsys, "train", rings, "--steps", "2", "--out", "run", *SMALL)
    found, _ = evaluated(capsys, "run", "tests.cli.test_new_data:Few")
    assert [row["examples"] for row in found["per_class"].values()] == [2, 2, 2, 0, 0]
    said = [p.label for p in load("run").predict(torch.stack([Few()[n][0] for n in range(6)]))]
    assert found["accuracy"] == pytest.approx(sum(a == str(n % 3) for n, a in enumerate(said)) / 6)


@pytest.mark.parametrize(
    ("parts", "scored"),
    [
        (("train", "val"), {"part": "validation", "examples": 8}),
        (("train", "val", "test"), {"part": "test", "examples": 12}),
        (("train",), {"part": "all", "examples": 4}),
    ],
)
def test_the_part_that_is_scored_is_test_else_validation_else_all(
    capsys, run: str, parts: tuple[str, ...], scored: dict
):
    noise = np.random.default_rng(2)
    for part, each in zip(parts, (1, 2, 3), strict=False):
        for name, red in LEVELS.items():
            for n in range(each):
                paint(Path("new", part, name, f"{n}.png"), red, noise)
    found, err = evaluated(capsys, run, "new")
    assert found.items() >= scored.items()
    assert ("new has no test part: its validation part is scored" in err) is (len(parts) == 2)
    found, _ = evaluated(capsys, run, "new", "--part", "train")
    assert found.items() >= {"part": "train", "examples": 4}.items()
