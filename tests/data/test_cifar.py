"""CIFAR in torchvision's files: pixels, labels and names as they lie there; or one sentence."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from skipwise.data import CIFAR, find_data
from skipwise.data.sources.cifar import as_part


def written(path: Path, content: dict) -> str:
    path.write_bytes(pickle.dumps(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_pictures_and_labels_are_those_of_the_batch_files(tmp_path: Path):
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    rows = np.random.default_rng(0).integers(0, 256, (6, 3072), dtype=np.uint8)
    labels = [3, 1, 4, 1, 5, 9]
    batch = written(folder / "data_batch_1", {"data": rows, "labels": labels})
    names = written(folder / "batches.meta", {"label_names": list("abcdefghij")})

    class Six(CIFAR10):
        """Torchvision's reader, on a file of six pictures."""

        train_list = (["data_batch_1", batch],)
        test_list = train_list
        meta = {"filename": "batches.meta", "key": "label_names", "md5": names}  # noqa: RUF012

    pictures, targets = as_part(Six(str(tmp_path)))
    # In the file a row is 1,024 red, 1,024 green and 1,024 blue values, each row by row.
    assert torch.equal(pictures, torch.from_numpy(rows).view(6, 3, 32, 32))
    assert targets.tolist() == labels


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_without_files_and_without_a_network_one_sentence_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(
        ValueError, match=rf"{name} can neither be read from .*skipwise nor be downloaded"
    ):
        find_data(name).load()


def test_there_are_two_of_them():
    assert CIFAR(classes=100).name == "cifar100"
    with pytest.raises(ValueError, match="there are CIFAR-10 and CIFAR-100, not 1000"):
        CIFAR(classes=1000)
