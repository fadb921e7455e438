"""Parquet tables give the pictures and classes that they hold, or say which row is wrong."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from skipwise.data import Arrays, Dataset, Folder, Parquet, Shares, find_data, in_order
from skipwise.data.pictures import read_picture

NAMES = ("cat", "dog")


def encoded(colour: tuple[int, int, int] = (200, 10, 10), size: tuple[int, int] = (10, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def colours(count: int) -> list[bytes]:
    return [encoded((200 - 180 * (n % 2), n, 10)) for n in range(count)]


def write(file: Path, images: list, labels: list, **columns: list) -> str:
    pq.write_table(pa.table({"image": images, "label": labels, **columns}), file)
    return str(file)


def targets_of(data: Dataset) -> list[int]:
    return data.train.gather(torch.arange(len(data.train)))[1].tolist()


def test_the_order_of_the_rows_and_the_pixels_are_kept(tmp_path: Path):
    path = write(tmp_path / "t.parquet", colours(8), [0, 1] * 4)
    data = Parquet(path=path, shares=Shares(validation=0.0, test=0.0)).load()
    pictures, labels = data.train.gather(torch.arange(8))
    assert labels.tolist() == [0, 1] * 4
    assert pictures[:, :2, 0, 0].tolist() == [[200 - 180 * (n % 2), n] for n in range(8)]
    assert (data.classes, data.ends.inputs) == (("0", "1"), (3, 8, 10))


def test_a_column_of_splits_parts_the_rows(tmp_path: Path):
    split = ["test", "train", "train", "val", "train", "train", "test", "dev"]
    path = write(tmp_path / "t.parquet", colours(8), [0, 1] * 4, split=split)
    data = Parquet(path=path).load()
    assert data.test is not None
    assert data.validation is not None
    held_out = ((data.test, [0, 6]), (data.validation, [3, 7]))
    for part, rows in ((data.train, [1, 2, 4, 5]), *held_out):
        pictures, labels = part.gather(torch.arange(len(part)))
        assert pictures[:, 1, 0, 0].tolist() == rows
        assert labels.tolist() == [row % 2 for row in rows]

    split[5] = "new"
    write(tmp_path / "t.parquet", colours(8), [0, 1] * 4, split=split)
    with pytest.raises(ValueError, match=r"row 5 \(from 0\) is of the split 'new'; there are"):
        Parquet(path=path).load()
    write(tmp_path / "t.parquet", [*colours(7), b"no"], [0, 1] * 4, split=["train", "test"] * 4)
    with pytest.raises(ValueError, match=r"row 7 \(from 0\) cannot be read"):
        Parquet(path=path).load()
    write(tmp_path / "t.parquet", colours(2), [0, 1], split=["test", "val"])
    with pytest.raises(ValueError, match="has no row of the train split"):
        Parquet(path=path).load()


def test_columns_about_something_else_part_nothing(tmp_path: Path):
    words = {"part": ["wing"] * 8, "subset": ["A"] * 8}
    path = write(tmp_path / "t.parquet", colours(8), [0, 1] * 4, **words)
    assert len(Parquet(path=path, shares=Shares(validation=0.0, test=0.0)).load().train) == 8


def test_files_named_by_part_overrule_a_column_of_splits(tmp_path: Path):
    for name in ("train", "test"):
        write(tmp_path / f"{name}.parquet", colours(4), [0, 1] * 2, split=["validation"] * 4)
    data = Parquet(path=str(tmp_path), shares=Shares(validation=0.0)).load()
    assert (len(data.train), len(data.test or ()), data.validation) == (4, 4, None)


def test_equal_pixels_in_npz_and_parquet_are_equal_data(shared: Path, tmp_path: Path):
    table = pq.read_table(shared / "eurosat_rgb" / "test.parquet").slice(0, 300)
    pq.write_table(table, tmp_path / "some.parquet")
    files = [io.BytesIO(row) for row in table["image"].to_pylist()]
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])
    np.savez(tmp_path / "some.npz", x=pixels, y=table["label"].to_numpy())
    ours, theirs = find_data(f"{tmp_path}/some.parquet").load(), find_data(f"{tmp_path}/some.npz")
    assert isinstance(theirs, Arrays)
    other = theirs.load()
    assert (ours.digest, ours.preprocessing) == (other.digest, other.preprocessing)
    assert targets_of(ours) == targets_of(other)


@pytest.mark.parametrize(
    ("name", "sizes", "first"),
    [("cifar10_jpeg", (45_000, 5_000, 10_000), "airplane"), ("eurosat_rgb", None, "AnnualCrop")],
)
def test_the_folders_in_the_paths_name_the_classes_of_real_sets(
    shared: Path, name: str, sizes: tuple[int, ...] | None, first: str
):
    found = find_data(str(shared / name))
    assert isinstance(found, Parquet)
    listing = found.find()
    assert listing.classes[0] == first
    assert len(listing.classes) == 10
    assert len(listing.files["train"]) == (sum(sizes[:2]) if sizes else 21_600)
    table = pq.read_table(shared / name / "test.parquet", columns=["label", "path"])
    rows = zip(
        listing.labels["test"], *(table[c].to_pylist() for c in table.column_names), strict=True
    )
    assert all(label == (listing.classes[n],) and label[0] in path for label, n, path in rows)


def hub(path: Path, feature: dict, labels: list) -> str:
    images = [{"bytes": image, "path": None} for image in colours(len(labels))]
    table = pa.table({"image": images, "label": labels})
    told = json.dumps({"info": {"features": {"label": feature}}})
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"huggingface": told}), path)
    return str(path)


def test_the_layout_of_the_hub_is_read_with_its_names_and_shards(tmp_path: Path):
    for n in range(2):
        hub(
            tmp_path / "data" / f"train-0000{n}-of-00002.parquet", {"names": ["z", "a"]}, [0, 1] * 4
        )
    hub(tmp_path / "data" / "test-00000-of-00001.parquet", {"names": ["z", "a"]}, [1, 1, 0])
    data = find_data(str(tmp_path)).load()
    assert data.classes == ("z", "a")
    assert data.test is not None
    assert data.test.gather(torch.arange(3))[1].tolist() == [1, 1, 0]
    assert data.validation is not None
    assert len(data.train) + len(data.validation) == 16


def test_labels_that_are_names_are_the_classes_in_alphabetical_order(tmp_path: Path):
    path = write(tmp_path / "t.parquet", colours(20), ["dog", "cat"] * 10)
    data = Parquet(path=path).load()
    assert data.classes == NAMES
    batch = next(in_order(data.train, data.preprocessing, size=99, device=torch.device("cpu")))
    assert torch.equal(batch.inputs[:, 0, 0, 0] > 0, batch.targets == 1)  # dogs are red


def test_paths_that_do_not_name_each_label_once_leave_the_numbers(tmp_path: Path):
    paths = ["a/1.png", "b/1.png", "a/2.png", "c/2.png"] * 2
    path = write(tmp_path / "t.parquet", colours(8), [0, 1] * 4, path=paths)
    assert Parquet(path=path).load().classes == ("0", "1")


def test_a_broken_row_is_named_or_skipped(tmp_path: Path):
    images = colours(20)
    images[7], images[9] = images[7][:40], b""
    path = write(tmp_path / "t.parquet", images, [0, 1] * 10)
    with pytest.raises(ValueError, match=r"t\.parquet, row [79] \(from 0\) cannot be .*--skip-bad"):
        Parquet(path=path).load()
    data = Parquet(path=path, skip_bad=True).load()
    (told,) = [note for note in data.notes if "skipped" in note]
    assert told.startswith("2 files that cannot be read were skipped: t.parquet, row ")
    assert sum(len(p) for p in (data.train, data.validation, data.test) if p is not None) == 18


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"image": [b""], "x": [1]}, r"has the columns image, x; labels are looked for in 'label'"),
        ({"x": [b""], "label": [1]}, r"encoded pictures are looked for in 'image' \(img"),
        ({"image": [[1, 2]], "label": [1]}, "column 'image' holds list.*needs the bytes"),
        ({"image": [b""], "label": [0.5]}, r"row 0 \(from 0\) has the label 0.5; labels must be"),
        ({"image": [b""], "label": ["0.5"]}, "has the label 0.5; labels must be class names or"),
        ({"image": [b""], "label": pa.array([None], pa.int32())}, "row 0 .* has no label"),
        ({"image": [b""], "label": [["a", "b"]]}, "has a list of labels; add --multi-label"),
    ],
)
def test_tables_that_cannot_be_trained_on_are_refused(tmp_path: Path, columns: dict, words: str):
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=words):
        Parquet(path=str(tmp_path / "t.parquet")).load()


def test_a_label_beyond_the_names_and_a_file_that_is_no_table_are_refused(tmp_path: Path):
    path = hub(tmp_path / "t.parquet", {"names": ["a", "b"]}, [0, 1, -1])
    with pytest.raises(ValueError, match=r"row 2 .* has the label -1, but there are 2 classes"):
        Parquet(path=path).load()
    whole = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"t\.parquet cannot be read as Parquet"):
        Parquet(path=path).load()
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts" / "test.parquet", colours(2), [0, 1])
    with pytest.raises(ValueError, match=r"parts has no train\.parquet"):
        find_data(str(tmp_path / "parts")).load()


def test_without_pyarrow_the_line_that_installs_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write(tmp_path / "t.parquet", colours(2), [0, 1])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)  # as where it is not installed
    with pytest.raises(ValueError, match=r'needs pyarrow to be read: .* -e "\.\[parq'):
        Parquet(path=path).load()


def test_a_row_may_name_a_file_beside_the_table(tmp_path: Path):
    (tmp_path / "1.png").write_bytes(encoded())
    images = [{"bytes": None, "path": "1.png"}, {"bytes": encoded((1, 2, 3)), "path": "2.png"}]
    path = write(tmp_path / "t.parquet", images, ["a", "b"])
    first = Parquet(path=path).find().files["train"][0]
    assert read_picture(first, channels=3, size=(8, 10))[:, 0, 0].tolist() == [200, 10, 10]


def test_names_that_are_numerals_are_those_in_the_places_of_the_numbers(tmp_path: Path):
    """As the hub stores a folder of the classes 0 to 11: in alphabetical order."""
    names = ["0", "1", "10", "2"]
    info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    labels = [0, 1, 2, 3] * 2
    table = pa.table({"image": colours(8), "label": labels})
    told = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    pq.write_table(told, tmp_path / "t.parquet")
    listing = Parquet(path=str(tmp_path / "t.parquet")).find()
    assert listing.classes == tuple(names)
    assert listing.labels["train"] == [(names[label],) for label in labels]


def test_a_stray_table_beside_class_folders_is_left_alone(folder: Path):
    write(folder / "meta.parquet", colours(2), [0, 1])
    assert isinstance(find_data(str(folder)), Folder)
    assert find_data(str(folder)).load().classes == ("cat", "dog")
    write(folder / "TRAIN.PARQUET", colours(8), [0, 1] * 4)
    assert isinstance(find_data(str(folder)), Parquet)
    assert find_data(str(folder)).load().classes == ("0", "1")
