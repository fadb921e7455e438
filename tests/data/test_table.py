"""Tables of paths and labels give the pictures they list, or say which line is wrong."""

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image

from skipwise.data import Folder, Shares, Table, find_data

WHOLE = Shares(validation=0.0, test=0.0)


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    for n in range(8):
        Image.new("RGB", (10, 8), (30 * n, 10, 10)).save(tmp_path / "p" / f"{n}.png")


def table(tmp_path: Path, text: str, name: str = "list.csv") -> Table:
    (tmp_path / name).write_text(text)
    return Table(path=str(tmp_path / name), shares=WHOLE)


ROWS = "".join(f"p/{n}.png,{'cat' if n % 2 else 'dog'}\n" for n in range(8))


@pytest.mark.parametrize("header", ["", "path,label\n", "File,Class\n", "\ufefffilename,target\n"])
def test_paths_are_relative_to_the_table_and_rows_keep_their_order(tmp_path: Path, header: str):
    data = table(tmp_path, header + ROWS).load()
    pictures, labels = data.train.gather(torch.arange(8))
    assert pictures[:, 0, 0, 0].tolist() == [30 * n for n in range(8)]
    assert labels.tolist() == [1, 0] * 4
    assert data.classes == ("cat", "dog")


def test_a_table_and_a_folder_of_the_same_pictures_are_the_same_data(tmp_path: Path):
    for n in range(8):
        target = tmp_path / "s" / ("a" if n < 4 else "b") / f"{n}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tmp_path / "p" / f"{n}.png").read_bytes())
    rows = "".join(f"p/{n}.png\t{'a' if n < 4 else 'b'}\n" for n in range(8))
    listed = table(tmp_path, rows, "list.tsv").load()
    found = Folder(path=str(tmp_path / "s"), shares=WHOLE).load()
    assert (listed.digest, listed.classes) == (found.digest, found.classes)


def test_the_column_split_makes_the_parts_and_numbers_are_ordered_as_numbers(tmp_path: Path):
    splits = ["train", "train", "val", "test", "train", "test", "train", "test"]
    lines = [f"{split},p/{n}.png,{(10, 9)[n % 2]}" for n, split in enumerate(splits)]
    data = table(tmp_path, "split,image,label\n" + "\n".join(lines)).load()
    assert data.classes == ("9", "10")
    assert data.validation is not None
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (4, 1, 3)
    assert data.test.gather(torch.arange(3))[1].tolist() == [0, 0, 0]


def test_columns_of_other_names_are_named(tmp_path: Path):
    lines = [f"{n},p/{n}.png,{'cat' if n % 2 else 'dog'},x" for n in range(8)]
    found = table(tmp_path, "label,Where,Kind,path\n" + "\n".join(lines))
    data = dataclasses.replace(found, path_column="where", label_column="Kind").load()
    assert data.classes == ("cat", "dog")
    assert data.train.gather(torch.arange(8))[1].tolist() == [1, 0] * 4
    with pytest.raises(ValueError, match="has no column 'knd', which label_column names; did you"):
        dataclasses.replace(found, label_column="knd").load()


def test_names_that_look_like_several_labels_are_pointed_out(tmp_path: Path):
    names = ("cat", "dog", "cat;dog", "cat, dog")
    rows = "path,label\n" + "".join(f'p/{n}.png,"{names[n % 4]}"\n' for n in range(8))
    (note,) = [note for note in table(tmp_path, rows).load().notes if "--multi-label" in note]
    assert note.startswith("'cat, dog' is taken for one class")
    assert not any("--multi-label" in note for note in table(tmp_path, ROWS).load().notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"list\.csv is empty"),
        ("path,label\n", "has a header and no row below it"),
        ("path,kind\np/0.png,a\n", r"has the columns path, kind; it lacks 'label' \(labels"),
        ("name,label\nx,a\n", r"has the columns name, label; it lacks 'path' \(file"),
        ("a,b,c\nx,y,z\n", "has the columns a, b, c; it lacks 'path'"),
        ("path,label\np/0.png,a\np/77.png,b\n", r"list\.csv, line 3: p/77\.png is no file"),
        ("path,label\np/0.png,a\np/1.png,\n", r"list\.csv, line 3 has no label"),
        ("path,label\np/0.png\n", r"list\.csv, line 2 has no label"),
        ("path,label\n,a\n", r"list\.csv, line 2 has no path"),
        (
            "path,label\np/0.png,1\np/1.png,0.5\n",
            r"line 3 has the label 0\.5; labels must be class",
        ),
        ("path,label,split\np/0.png,a,new\n", "line 2 is of the split 'new'; there are train"),
        ("path,label,split\np/0.png,a,test\n", "has no row of the train split"),
        ('path,label\n"p/0.png,a\n', r"list\.csv cannot be read as a table"),
        ("p/0.png,a\np/1.png,a\n", "has one class only, 'a'"),
    ],
)
def test_tables_that_cannot_be_trained_on_are_refused(tmp_path: Path, text: str, words: str):
    with pytest.raises(ValueError, match=words):
        table(tmp_path, text).load()


def test_a_word_with_the_suffix_of_a_table_is_one(tmp_path: Path):
    (tmp_path / "list.tsv").write_text("")
    assert isinstance(find_data(str(tmp_path / "list.tsv")), Table)
    with pytest.raises(ValueError, match=r"missing\.csv does not exist"):
        find_data("missing.csv").load()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ROWS + "p/0.png,cat\n", r"line 9: p/0\.png stands in .*line 1 already"),
        ("path,label\n" + ROWS + "p/0.png,cat,dog\n", "has 3 cells, the first row 2"),
        (ROWS.replace("cat", "1").replace("dog", "01"), "labels 01, 1 are one number"),
    ],
)
def test_a_picture_twice_cells_too_many_and_one_number_in_two_forms(
    tmp_path: Path, text: str, words: str
):
    with pytest.raises(ValueError, match=words):
        table(tmp_path, text).load()


def test_a_table_of_semicolons_and_one_with_its_ending_in_capitals_are_read(tmp_path: Path):
    wanted = table(tmp_path, "path,label\n" + ROWS).load()
    for name, text in (
        ("semicolons.csv", "path;label\n" + ROWS.replace(",", ";")),
        ("bare.csv", ROWS.replace(",", ";")),
        ("LOUD.CSV", "path,label\n" + ROWS),
        ("LOUD.TSV", "path\tlabel\n" + ROWS.replace(",", "\t")),
    ):
        (tmp_path / name).write_text(text)
        found = find_data(str(tmp_path / name))
        assert isinstance(found, Table)
        data = dataclasses.replace(found, shares=WHOLE).load()
        assert (data.digest, data.classes) == (wanted.digest, wanted.classes), name
    for n in range(8):
        (tmp_path / "p" / f"{n}.png").rename(tmp_path / "p" / f"{n}.PNG")
    assert table(tmp_path, ROWS.replace(".png", ".PNG")).load().classes == wanted.classes


def test_several_labels_stand_between_bars_in_a_table_of_semicolons(tmp_path: Path):
    rows = "".join(f"p/{n}.png;{'cat|dog' if n % 2 else 'dog'}\n" for n in range(8))
    found = table(tmp_path, "path;labels\n" + rows)
    data = dataclasses.replace(found, multi_label=True).load()
    assert data.train.gather(torch.arange(8))[1].tolist() == [[0, 1], [1, 1]] * 4


def test_a_table_of_numbers_is_told_where_these_go(tmp_path: Path):
    told = r"it lacks 'path' .*; a table lists pictures, numbers are read from a file \.npz"
    with pytest.raises(ValueError, match=told):
        table(tmp_path, "height,weight,label\n1.8,80,a\n1.6,60,b\n").load()
