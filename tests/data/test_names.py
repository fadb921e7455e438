"""Every example keeps its name, in whichever part it is: its file, or its number in the data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from skipwise.data import Arrays, Dataset, Examples, Folder, Own, Parquet, Shares, Table
from tests.data.test_parquet import colours, write
from tests.references import paint

WHOLE = Shares(validation=0.0, test=0.0)
CLASSES = ("cat", "dog")
MEMORY = [10**9, 0]  # decoded once, decoded as they are used


def parts(data: Dataset) -> list[Examples]:
    return [part for part in (data.train, data.validation, data.test) if part is not None]


def seen(part: Examples) -> dict[str, torch.Tensor]:
    index = torch.arange(len(part))
    found = dict(zip(part.called(index), part.gather(index)[0], strict=True))
    assert len(found) == len(part)
    return found


@pytest.mark.parametrize("memory", MEMORY)
def test_a_picture_of_a_folder_is_called_by_its_path_in_it(folder: Path, memory: int):
    data = Folder(path=str(folder), memory_bytes=memory).load()
    found = {name: picture for part in parts(data) for name, picture in seen(part).items()}
    assert sorted(found) == sorted(str(p.relative_to(folder)) for p in folder.rglob("*.png"))
    assert len(parts(data)) == 3
    for name, picture in found.items():
        wanted = np.asarray(Image.open(folder / name).convert("RGB")).transpose(2, 0, 1)
        assert np.array_equal(picture.numpy(), wanted), name


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("content", [b"nothing", None])
def test_a_file_that_is_skipped_takes_no_name_of_another(
    folder: Path, memory: int, content: bytes | None
):
    bad = folder / "cat" / "3.png"  # None: cut short, which its header does not tell
    bad.write_bytes(bad.read_bytes()[:-30] if content is None else content)
    data = Folder(path=str(folder), memory_bytes=memory, skip_bad=True, shares=WHOLE).load()
    found = seen(data.train)
    assert len(found) == 19
    for name, picture in found.items():
        assert int(picture[1, 0, 0]) == int(Path(name).stem)
        assert (int(picture[0, 0, 0]) == 200) is name.startswith("cat")


def test_parts_of_a_folder_stand_in_the_names(tmp_path: Path):
    for part in ("train", "test"):
        for n, name in enumerate(("a", "b")):
            for number in range(2):
                paint(tmp_path / part / name / f"{number}.png", (90 * n, 10, number))
    data = Folder(path=str(tmp_path), shares=WHOLE).load()
    assert data.test is not None
    assert list(seen(data.test)) == [f"test/{c}/{n}.png" for c in "ab" for n in range(2)]


def test_rows_of_a_table_are_called_as_they_stand_there(folder: Path):
    lines = [(c, n, "val" if n > 7 else "train") for n in range(10) for c in CLASSES]
    rows = [f"set/{c}/{n}.png,{c},{part}" for c, n, part in lines]
    (folder.parent / "list.csv").write_text("path,label,split\n" + "\n".join(rows))
    data = Table(path=str(folder.parent / "list.csv"), shares=WHOLE).load()
    assert data.validation is not None
    assert list(seen(data.validation)) == [f"set/{c}/{n}.png" for n in (8, 9) for c in CLASSES]


def test_rows_of_parquet_are_called_by_their_paths_else_by_their_places(tmp_path: Path):
    labels, paths = [0, 1] * 4, [f"{n}.png" for n in range(8)]
    paths[5] = ""
    split = ["val" if n > 5 else "train" for n in range(8)]
    file = write(tmp_path / "t.parquet", colours(8), labels, path=paths, split=split)
    data = Parquet(path=file, shares=WHOLE).load()
    assert data.validation is not None
    assert list(seen(data.validation)) == ["6.png", "7.png"]
    assert list(seen(data.train))[-2:] == ["4.png", "t.parquet, row 5 (from 0)"]
    for name, picture in list(seen(data.train).items())[:5]:
        assert int(picture[1, 0, 0]) == int(Path(name).stem)
    plain = Parquet(path=write(tmp_path / "p.parquet", colours(4), [0, 1] * 2), shares=WHOLE)
    assert list(seen(plain.load().train)) == [f"p.parquet, row {n} (from 0)" for n in range(4)]


def test_the_hubs_paths_beside_the_bytes_are_names(tmp_path: Path):
    images = [{"bytes": b, "path": f"{n}.png"} for n, b in enumerate(colours(6))]
    path = write(tmp_path / "t.parquet", images, [0, 1] * 3)
    found = seen(Parquet(path=path, shares=WHOLE).load().train)
    assert list(found) == [f"{n}.png" for n in range(6)]
    assert [int(picture[1, 0, 0]) for picture in found.values()] == list(range(6))


def test_examples_without_files_are_called_by_their_numbers_in_the_data(tmp_path: Path):
    x = np.arange(60, dtype=np.float32)[:, None].repeat(2, 1)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(60) % 2)
    rows = [(torch.tensor(row), n % 2) for n, row in enumerate(x)]
    for data in (Arrays(path=str(tmp_path / "x.npz")).load(), Own(dataset=rows).load()):
        found = {name: row for part in parts(data) for name, row in seen(part).items()}
        assert len(found) == 60
        assert all(float(row[0]) == int(name) for name, row in found.items())


def test_parts_share_their_names(folder: Path):
    for memory, name in zip(MEMORY, ("_names", "names"), strict=True):
        data = Folder(path=str(folder), memory_bytes=memory).load()
        assert vars(data.train)[name] is vars(data.test)[name]
