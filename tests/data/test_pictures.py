"""Picture files of every kind: read right, or refused in a sentence that names the file."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from skipwise.data import Folder, Shares, Table, find_data, read_picture
from skipwise.data.pictures import header
from tests.cli.commands import fails
from tests.references import paint


def read(path: Path, channels: int = 3) -> list[int]:
    """Give the values of a picture of one pixel."""
    return read_picture(path, channels=channels, size=(1, 1)).flatten().tolist()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_range_of_sixteen_bits(tmp_path: Path, suffix: str):
    values = np.array([[0, 128, 129], [257 * 77, 65535 - 129, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"deep.{suffix}")
    assert header(tmp_path / f"deep.{suffix}") == ((2, 3), True)
    found = read_picture(tmp_path / f"deep.{suffix}", channels=1, size=(2, 3))
    assert found.flatten().tolist() == [round(v / 65535 * 255) for v in values.flatten().tolist()]


def test_a_palette_with_a_transparent_colour_stands_on_white(tmp_path: Path):
    image = Image.new("P", (1, 1), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.save(tmp_path / "solid.png")
    image.save(tmp_path / "clear.png", transparency=1)
    assert read(tmp_path / "solid.png") == [10, 200, 30]
    assert read(tmp_path / "clear.png") == [255, 255, 255]


def test_half_transparency_mixes_with_white_in_colour_and_in_grey(tmp_path: Path):
    Image.new("RGBA", (1, 1), (255, 0, 0, 51)).save(tmp_path / "a.png")
    Image.new("LA", (1, 1), (0, 51)).save(tmp_path / "b.png")
    assert read(tmp_path / "a.png") == [255, 204, 204]  # 0.2 · colour + 0.8 · white
    assert read(tmp_path / "b.png", channels=1) == [204]


def test_the_inks_of_a_cmyk_jpeg_become_colours(tmp_path: Path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "inks.jpg", quality=100)
    red, green, blue = read(tmp_path / "inks.jpg")
    assert red > 250
    assert max(green, blue) < 5


@pytest.mark.parametrize("mode", ["F", "I"])
def test_numbers_of_unknown_range_are_refused(tmp_path: Path, mode: str):
    kind = np.float32 if mode == "F" else np.int32
    Image.fromarray(np.full((2, 2), 70_000, kind)).save(tmp_path / "n.tif")
    with pytest.raises(ValueError, match=r"n\.tif cannot be read as a picture: it.* 16 bits"):
        read(tmp_path / "n.tif", channels=1)


def test_a_stack_of_pictures_is_refused_and_the_first_frame_of_a_film_is_taken(folder: Path):
    frames = [Image.new("L", (10, 8), 40 * n) for n in range(3)]
    frames[1].save(folder.parent / "film.gif", save_all=True, append_images=frames[2:])
    assert set(
        read_picture(folder.parent / "film.gif", channels=1, size=(8, 10)).unique().tolist()
    ) == {40}
    frames[0].save(folder / "cat" / "volume.tif", save_all=True, append_images=frames[1:])
    wanted = (
        r"cat/volume\.tif cannot be read as a picture: it is a stack of 3 pictures; .*--skip-bad"
    )
    with pytest.raises(ValueError, match=wanted):
        Folder(path=str(folder)).load()
    assert (
        f"1 file that cannot be read was skipped: {folder / 'cat' / 'volume.tif'}"
        in Folder(path=str(folder), skip_bad=True).load().notes
    )


def test_hidden_files_and_folders_are_not_looked_at(folder: Path):
    (folder / "cat" / ".hidden.png").write_bytes(b"nothing")
    (folder / "cat" / ".cache").mkdir()
    (folder / "cat" / ".cache" / "1.png").write_bytes(b"nothing")
    (folder / ".trash").mkdir()
    (folder / "cat" / "notes.txt").write_text("no picture")
    assert Folder(path=str(folder), shares=Shares(validation=0.0, test=0.0)).load().classes == (
        "cat",
        "dog",
    )


@pytest.mark.parametrize("target", ["..", ".", "../dog"])
def test_links_that_lead_in_a_circle_are_named(folder: Path, target: str):
    os.symlink(target, folder / "cat" / "again")
    if target == "../dog":
        os.symlink("../cat", folder / "dog" / "again")
    with pytest.raises(ValueError, match=r"again is a link to a folder above it.*remove the link"):
        Folder(path=str(folder)).load()


def test_a_link_to_itself_and_a_link_to_nothing_are_named(folder: Path):
    for target in ("self.png", "nothing.png"):
        os.symlink(target, folder / "cat" / "self.png")
        with pytest.raises(ValueError, match=r"cat/self\.png cannot be read as a picture"):
            Folder(path=str(folder)).load()
        (folder / "cat" / "self.png").unlink()


def test_a_linked_folder_is_a_folder(folder: Path, tmp_path: Path):
    paint(tmp_path / "elsewhere" / "1.png", (0, 0, 1))
    os.symlink(tmp_path / "elsewhere", folder / "cow")
    assert Folder(path=str(folder)).load().classes == ("cat", "cow", "dog")


def test_a_class_of_one_picture_is_trained_on_and_it_is_said(folder: Path):
    paint(folder / "lone" / "1.png", (0, 0, 1))
    data = Folder(path=str(folder)).load()
    labels = data.train.gather(torch.arange(len(data.train)))[1]
    assert (labels == 2).sum() == 1
    assert "too few examples to hold one out for test: lone" in data.notes
    assert "too few examples to hold one out for validation: lone" in data.notes


def test_pictures_of_one_colour_are_refused_in_folders_and_tables(capsys, tmp_path: Path):
    for n in range(8):
        paint(tmp_path / "s" / "ab"[n % 2] / f"{n}.png", (7, 8, 9))
    rows = "".join(f"s/{'ab'[n % 2]}/{n}.png,{n % 2}\n" for n in range(8))
    (tmp_path / "list.csv").write_text(rows)
    for word in (str(tmp_path / "s"), str(tmp_path / "list.csv")):
        told = "are all of one and the same colour; there is nothing to see in them"
        assert told in fails(capsys, "train", word)


def test_pictures_that_are_each_of_one_colour_can_be_told_apart(tmp_path: Path):
    for n in range(8):
        paint(tmp_path / "s" / "ab"[n % 2] / f"{n}.png", (200 * (n % 2), 8, 9))
    assert Folder(path=str(tmp_path / "s")).load().ends.inputs == (3, 8, 10)


def test_a_size_is_taken_by_folders_and_tables(capsys, folder: Path):
    from tests.cli.commands import SMALL, call

    rows = "".join(f"set/{c}/{n}.png,{c}\n" for c in ("cat", "dog") for n in range(10))
    (folder.parent / "list.csv").write_text(rows)
    for word, size, shape in ((folder, "9", "3×9×9"), (folder.parent / "list.csv", "4x6", "3×4×6")):
        words = ("train", str(word), "--size", size, "--steps", "1", *SMALL[:-1])
        _, _, told = call(capsys, *words)
        assert f"examples {shape}, 14 train" in told
        assert f"resized and cropped in the middle to {shape[2:]} pixels" in told


def test_classes_of_a_table_are_not_those_of_the_folders(folder: Path):
    rows = "".join(f"set/{c}/{n}.png,{n % 2}\n" for c in ("cat", "dog") for n in range(10))
    (folder.parent / "list.csv").write_text(rows)
    found = find_data(str(folder.parent / "list.csv"))
    assert isinstance(found, Table)
    assert found.load().classes == ("0", "1")


def test_the_size_of_a_turned_tiff_is_that_of_its_pixels(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row of the file is the right side
    Image.new("RGB", (12, 8)).save(tmp_path / "turned.tif", exif=exif)
    (height, width), _ = header(tmp_path / "turned.tif")
    with Image.open(tmp_path / "turned.tif") as image:
        assert ImageOps.exif_transpose(image).size == (width, height)


def test_the_header_of_a_png_is_read_without_its_pixels(tmp_path: Path):
    paint(tmp_path / "a.png", size=(9, 7))
    whole = header(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: content.index(b"IDAT") + 8])
    assert header(tmp_path / "a.png") == whole


def test_pictures_outside_class_folders_are_said_to_be_left_out(folder: Path):
    assert not any("left out" in note for note in Folder(path=str(folder)).load().notes)
    (folder / "stray.png").write_bytes(next(folder.rglob("*.png")).read_bytes())
    notes = Folder(path=str(folder)).load().notes
    assert f"pictures left out, since no class folder holds them: 1 in {folder}" in notes


def test_a_class_may_be_called_as_a_part_is(folder: Path):
    names = sorted(path.name for path in folder.iterdir())
    (folder / names[0]).rename(folder / "train")
    assert Folder(path=str(folder)).load().classes == tuple(sorted(["train", *names[1:]]))


def test_flat_folders_of_parts_beside_another_are_refused(folder: Path):
    for name in ("train", "val"):
        paint(folder / name / "0.png")
    with pytest.raises(ValueError, match=r"train has no class folders"):
        Folder(path=str(folder)).load()


@pytest.mark.parametrize(
    ("sides", "side"),
    [
        ([70, 80, 90, 100, 300], 96),  # the middle one of the shorter sides, by 32
        ([9, 10, 13, 30, 31], 16),  # small ones by 8
        ([2, 3, 4], 8),
        ([400, 500, 600], 224),
    ],
)
def test_of_many_sizes_a_square_of_the_median_shorter_side_is_taken(
    tmp_path: Path, sides: list[int], side: int
):
    for n, short in enumerate(sides * 2):  # one is as wide as the other is high
        size = (short, 2 * short) if n < len(sides) else (3 * short, short)
        paint(tmp_path / "s" / "ab"[n % 2] / f"{n}.png", (n, 0, 0), size)
    data = Folder(path=str(tmp_path / "s")).load()
    assert data.ends.inputs == (3, side, side)
    (told,) = [note for note in data.notes if "resized" in note]
    assert told.startswith(f"pictures of {2 * len(sides)} sizes are resized and cropped")
    assert f"to {side}×{side} pixels, " in told
    assert "; --size chooses" in told


def test_the_size_of_half_of_the_pictures_is_taken_and_that_of_fewer_is_not(tmp_path: Path):
    sizes = [(10, 8)] * 3 + [(40, 40), (41, 41), (42, 42)]
    for n, size in enumerate(sizes):
        paint(tmp_path / "s" / "ab"[n % 2] / f"{n}.png", (n, 0, 0), size)
    data = Folder(path=str(tmp_path / "s")).load()
    assert data.ends.inputs == (3, 8, 10)
    assert any("to 8×10 pixels, the commonest size; --size" in note for note in data.notes)
    paint(tmp_path / "s" / "a" / "7.png", (7, 0, 0), (43, 43))
    assert Folder(path=str(tmp_path / "s")).load().ends.inputs == (3, 40, 40)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_pictures_of_16_bits_that_use_12_are_said_to_keep_few_grey_levels(
    tmp_path: Path, bits: int
):
    noise, deep = np.random.default_rng(0), np.uint8 if bits == 8 else np.uint16
    for n in range(10):
        path = tmp_path / "s" / "ab"[n % 2] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = noise.integers(0, 2**bits, (20, 20)).astype(deep)
        values[0, 0] = 2**bits - 1
        Image.fromarray(values).save(path)
    data = Folder(path=str(tmp_path / "s"), shares=Shares(validation=0.0, test=0.0)).load()
    levels = len(data.train.gather(torch.arange(10))[0].unique())
    told = [note for note in data.notes if "of 16 bits" in note]
    assert bool(told) is (bits == 12)
    assert not told or told[0].startswith(
        f"pictures of 16 bits hold values up to 4,095 of 65,535 (10 looked at), so {levels} of 256"
    )


def test_files_of_other_kinds_are_counted_and_an_empty_class_says_what_it_holds(folder: Path):
    for n in range(3):
        (folder / "cat" / f"{n}.HEIC").write_bytes(b"")
        (folder / "dog" / f"{n}.heic").write_bytes(b"")
    (folder / "dog" / "deep").mkdir()
    (folder / "dog" / "deep" / "1.npy").write_bytes(b"")
    told = "files left out, since their endings are not of pictures: 6 .heic, 1 .npy"
    assert told in Folder(path=str(folder)).load().notes
    (folder / "owl").mkdir()
    (folder / "owl" / "1.heic").write_bytes(b"")
    with pytest.raises(ValueError, match=r"owl holds no picture that can be read, only 1 \.heic;"):
        Folder(path=str(folder)).load()


def test_the_first_three_files_that_are_skipped_are_named(folder: Path):
    for n in range(5):
        (folder / "cat" / f"bad{n}.png").write_bytes(b"nothing")
    (told,) = [n for n in Folder(path=str(folder), skip_bad=True).load().notes if "skipped" in n]
    names = ", ".join(str(folder / "cat" / f"bad{n}.png") for n in range(3))
    assert told == f"5 files that cannot be read were skipped: {names} and 2 more"
