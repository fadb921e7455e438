"""Data sets that torchvision keeps: fetched by one process at a time; damage is one sentence."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from torchvision.datasets import CIFAR10, FashionMNIST

from skipwise.data.cached import cached
from skipwise.files import LOCK, in_turn


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".cache" / "skipwise"


def test_of_several_that_ask_at_once_one_downloads_and_the_others_find_it(root: Path):
    seen = []

    class Slow:
        """A data set that takes a while to unpack."""

        def __init__(self, folder: str, *, train: bool, download: bool):
            file = Path(folder, f"{train}")
            seen.append("there" if file.exists() else "unpacked")
            time.sleep(0.05)
            file.touch()

    with ThreadPoolExecutor(3) as asking:
        found = [*asking.map(lambda _: cached(Slow, "slow", otherwise=""), range(3))]
    assert seen == ["unpacked"] * 2 + ["there"] * 4
    assert [[*parts] for parts in found] == [["train", "test"]] * 3


def test_where_nothing_can_be_locked_none_waits(root: Path):
    (root / LOCK).mkdir(parents=True)
    with in_turn(root), in_turn(root):
        pass


HEAD = b"\x00\x00\x08\x03" + b"\x00\x00\x00\x09" * 3  # 9 pictures of 9 times 9 bytes follow


@pytest.mark.parametrize("content", [b"", HEAD, HEAD + b"cut"])
def test_pictures_that_were_cut_short_are_one_sentence(root: Path, content: bytes):
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        for name in ("images-idx3", "labels-idx1"):
            (raw / f"{part}-{name}-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match=r"mine can neither be read from .* nor .*; remove what"):
        cached(FashionMNIST, "mine", otherwise="")


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "Ran out of input"), (b"no pickle", "invalid load key")]
)
def test_pickles_that_cannot_be_read_are_one_sentence(root: Path, content: bytes, why: str):
    file = root / CIFAR10.base_folder / "batch"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    listed = (["batch", hashlib.md5(content).hexdigest()],)

    class Cut(CIFAR10):
        """Torchvision's reader, on a file that is no longer whole."""

        train_list = test_list = listed

    with pytest.raises(ValueError, match=rf"nor be downloaded \({why}"):
        cached(Cut, "mine", otherwise="")
