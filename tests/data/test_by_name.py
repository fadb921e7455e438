"""Classes that go by their names: in another order, and where the data lack some."""

from pathlib import Path

import numpy as np
import pytest
import torch

from skipwise.data import Arrays, Dataset, Folder, Own, Shares, Table, assemble
from tests.references import paint

WHOLE = Shares(validation=0.0, test=0.0)


def targets_of(data: Dataset) -> torch.Tensor:
    return data.train.gather(torch.arange(len(data.train)))[1]


def test_pictures_get_the_places_of_their_names_and_no_class_need_be_there(folder: Path):
    data = Folder(path=str(folder), shares=WHOLE).load(("dog", "owl", "cat"))
    assert (data.classes, data.ends.outputs) == (("dog", "owl", "cat"), (3,))
    red = data.train.gather(torch.arange(20))[0][:, 0, 0, 0]
    assert torch.equal(targets_of(data), torch.where(red == 200, 2, 0))  # cats are red
    assert data.counts == (10, 0, 10)
    assert data.digest == Folder(path=str(folder), shares=WHOLE).load().digest


def test_one_class_alone_and_an_empty_one_have_their_places(folder: Path):
    for file in (folder / "cat").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="cat holds no picture; fill the class or remove"):
        Folder(path=str(folder)).load()
    for _ in range(2):
        data = Folder(path=str(folder), shares=WHOLE).load(("cat", "dog"))
        assert targets_of(data).tolist() == [1] * 10
        if (folder / "cat").exists():
            (folder / "cat").rmdir()


def test_a_class_that_is_not_known_is_named(folder: Path):
    with pytest.raises(
        ValueError,
        match="the classes differ: set has cat, known are only dog, owl; rename or leave",
    ):
        Folder(path=str(folder), shares=WHOLE).load(("dog", "owl"))


def test_several_labels_get_the_columns_of_their_names(tmp_path: Path):
    cells = ["red", "red;blue", "", "blue"]
    for n in range(4):
        paint(tmp_path / f"{n}.png", (n, 0, 0))
    rows = "".join(f"{n}.png,{cell}\n" for n, cell in enumerate(cells))
    (tmp_path / "list.csv").write_text("path,labels\n" + rows)
    known = ("red", "green", "blue")
    table = Table(path=str(tmp_path / "list.csv"), multi_label=True, shares=WHOLE)
    wanted = [[float(name in cell) for name in known] for cell in cells]
    assert targets_of(table.load(known)).tolist() == wanted
    with pytest.raises(ValueError, match="list has blue, known are only red, green"):
        table.load(("red", "green"))


def test_numbers_go_by_their_names_too(tmp_path: Path):
    known = tuple(sorted(map(str, range(12))))  # as folders are: 0, 1, 10, 11, 2, …
    x, y = np.random.default_rng(0).normal(size=(4, 3)), np.array([11, 3, 1, 11])
    np.savez(tmp_path / "few.npz", x=x, y=y)
    data = Arrays(path=str(tmp_path / "few.npz"), shares=WHOLE).load(known)
    assert [known[target] for target in targets_of(data)] == ["11", "3", "1", "11"]
    np.savez(tmp_path / "few.npz", x=x, y=np.array([0, 12, 1, 2]))
    with pytest.raises(ValueError, match="label 12 of example 1 is no class number"):
        Arrays(path=str(tmp_path / "few.npz"), shares=WHOLE).load(known)


def test_every_part_gets_the_same_places():
    inputs = torch.randn(6, 2)
    parts = {
        "train": (inputs, torch.tensor([0, 1, 2, 2, 1, 0])),
        "test": (inputs, torch.tensor([2, 2, 2, 2, 2, 0])),
    }
    data = assemble("abc", parts, WHOLE, classes=("a", "b", "c"), known=("c", "a", "b", "d"))
    assert targets_of(data).tolist() == [1, 2, 0, 0, 2, 1]
    assert data.test is not None
    assert data.test.gather(torch.arange(6))[1].tolist() == [0, 0, 0, 0, 0, 1]


def test_labels_from_1_are_told_what_to_subtract(tmp_path: Path):
    x, y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 3 + 1
    np.savez(tmp_path / "one.npz", x=x, y=y)
    with pytest.raises(ValueError, match=r"one\.npz: labels begin at 1, .*; subtract 1 from y"):
        Arrays(path=str(tmp_path / "one.npz")).load()
    np.savez(tmp_path / "one.npz", x=x, y=y, classes=np.array(["a", "b", "c"]))
    with pytest.raises(ValueError, match="lie in 0 … 2; they begin at 1: subtract 1"):
        Arrays(path=str(tmp_path / "one.npz")).load()
    np.savez(tmp_path / "one.npz", x=x, y=y)
    assert targets_of(Arrays(path=f"{tmp_path}/one.npz").load(tuple("0123"))).min() == 1


def test_a_huge_label_of_a_data_set_of_ones_own_is_no_class():
    class Mine(list):
        """Pairs."""

    pairs = [(torch.ones(3), label) for label in (0, 1, 0, 10**12)]
    with pytest.raises(ValueError, match="Mine: label 1000000000000 of example 3 is no class numb"):
        Own(dataset=Mine(pairs)).load()
    with pytest.raises(ValueError, match=r"labels must lie in 0 … 1, got 0 … 5"):
        Own(dataset=Mine([*pairs[:3], (torch.ones(3), 5)]), classes=("a", "b")).load()
