"""Folders, arrays and a user's own data: read right, or refused in a sentence naming the place."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import skipwise
from skipwise.data import Arrays, Folder, Own, find_data, read_picture
from tests.references import paint, rings_file


def test_a_folder_of_class_folders_is_read_pixel_by_pixel(folder: Path):
    data = Folder(path=str(folder)).load()
    assert data.classes == ("cat", "dog")
    assert data.ends.inputs == (3, 8, 10)
    assert data.validation is not None
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (14, 2, 4)
    pictures, labels = data.train.gather(torch.arange(14))
    assert torch.equal(pictures[:, 0, 0, 0] == 200, labels == 0)


def test_parts_of_a_folder_are_taken_as_they_are(tmp_path: Path):
    for part, count in (("train", 6), ("val", 3), ("test", 2)):
        for name in ("a", "b"):
            for n in range(count):
                paint(tmp_path / "s" / part / name / f"{n}.png", (n, 0, 0))
    data = Folder(path=str(tmp_path / "s")).load()
    assert data.validation is not None
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 6, 4)
    assert data.notes == ()


def test_a_folder_with_train_and_val_only_says_that_there_is_no_test(tmp_path: Path):
    for part in ("train", "val"):
        for n, name in enumerate(("a", "b")):
            paint(tmp_path / "s" / part / name / "1.png", (n, 0, 0))
    data = Folder(path=str(tmp_path / "s")).load()
    assert data.test is None
    assert "there is no test part: no score is free of choices" in data.notes


def test_grey_pictures_stay_grey_and_one_coloured_one_makes_all_coloured(tmp_path: Path):
    for n in range(4):
        paint(tmp_path / "s" / "ab"[n % 2] / f"{n}.png", 30 * n)
    assert Folder(path=str(tmp_path / "s")).load().ends.inputs[0] == 1
    paint(tmp_path / "s" / "a" / "9.png", (1, 2, 3))
    assert Folder(path=str(tmp_path / "s")).load().ends.inputs[0] == 3


def test_mixed_sizes_are_brought_to_the_commonest_and_it_is_said(folder: Path):
    paint(folder / "cat" / "large.png", size=(50, 40))
    data = Folder(path=str(folder)).load()
    assert data.ends.inputs == (3, 8, 10)
    assert any(
        "2 sizes are resized and cropped in the middle to 8×10" in note for note in data.notes
    )


def test_sixteen_bits_keep_their_range_and_transparency_becomes_white(tmp_path: Path):
    deep = np.array([[0, 257 * 100], [257 * 200, 65535]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    found = read_picture(tmp_path / "deep.png", channels=1, size=(2, 2))
    assert found.flatten().tolist() == [0, 100, 200, 255]
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_picture(tmp_path / "clear.png", channels=3, size=(2, 2)).unique().tolist() == [255]


def test_a_picture_is_turned_upright_as_its_exif_says(tmp_path: Path):
    picture = Image.new("L", (4, 2))
    picture.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row of the file is the right side
    picture.save(tmp_path / "turned.png", exif=exif)
    found = read_picture(tmp_path / "turned.png", channels=1, size=(4, 2))[0]
    assert found.nonzero().tolist() == [[0, 1]]


def test_an_empty_class_a_single_class_and_a_missing_folder_are_refused(
    folder: Path, tmp_path: Path
):
    (folder / "empty").mkdir()
    with pytest.raises(
        ValueError, match="empty holds no picture; fill the class or remove its folder"
    ):
        Folder(path=str(folder)).load()
    paint(tmp_path / "one" / "cat" / "1.png")
    with pytest.raises(ValueError, match="one has one class only, 'cat'"):
        Folder(path=str(tmp_path / "one")).load()
    with pytest.raises(ValueError, match="nowhere does not exist or is no folder"):
        Folder(path=str(tmp_path / "nowhere")).load()


@pytest.mark.parametrize("content", [b"no picture at all", None], ids=["foreign", "truncated"])
def test_a_bad_picture_is_named_or_skipped(folder: Path, content: bytes | None):
    bad = folder / "dog" / "bad.jpg"
    Image.effect_noise((300, 300), 90).save(bad)
    bad.write_bytes(content or bad.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"dog/bad\.jpg cannot be read as a picture: .*--skip-bad"):
        Folder(path=str(folder)).load()
    data = Folder(path=str(folder), skip_bad=True).load()
    assert f"1 file that cannot be read was skipped: {bad}" in data.notes
    assert len(data.train) + 2 + 4 == 20


def test_arrays_are_read_with_channels_first_or_last(tmp_path: Path):
    data = Arrays(path=str(rings_file(tmp_path / "rings.npz"))).load()
    assert data.ends.inputs == (3, 8, 8)
    assert data.classes == tuple("01234")
    assert data.task == "classification"


def test_arrays_of_numbers_are_regression_and_equal_shapes_share_a_scale(tmp_path: Path):
    x = np.random.default_rng(0).normal(3, 2, (50, 4))
    np.savez(tmp_path / "same.npz", x=x, y=2 * x)
    np.savez(tmp_path / "other.npz", x=x, y=x[:, :1].sum(1))
    same, other = (Arrays(path=str(tmp_path / f"{n}.npz")).load() for n in ("same", "other"))
    assert same.preprocessing.mean == (0.0,) * 4
    assert same.ends.outputs == (4,)
    assert other.ends.outputs == (1,)
    assert abs(other.preprocessing.mean[0] - 3) < 1


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"z": np.zeros(3)}, "has z; it needs x and y"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(2, int)}, "3 inputs but 2 targets"),
        (
            {"x": np.array([[1.0], [np.nan]]), "y": np.array([0, 1])},
            "train input 1 holds NaN or infinity",
        ),
        (
            {"x": np.zeros((4, 2)), "y": np.array([0, 1, 2, -1])},
            "label -1 of example 3 is no class number; classes are numbered from 0",
        ),
        (
            {"x": np.zeros((4, 2)), "y": np.array([0, 1, 1, 5]), "classes": np.array(["a", "b"])},
            "there are 2 classes",
        ),
        ({"x": np.zeros((4, 2)), "y": np.array([0, 0, 0, 0])}, "one class only"),
        (
            {"x": np.zeros((9, 2)), "y": np.array([0, 2] * 4 + [2])},
            "class '1' has no training example",
        ),
        ({"x": np.array(["a", "b"]), "y": np.array([0, 1])}, "numbers are needed"),
        (
            {"x": np.zeros((4, 2)), "y": np.array([0.5, 1, 2, 3]), "classes": np.array(["a"])},
            "names classes, so y must be one whole number an example",
        ),
        (
            {"x": np.zeros((4, 2)), "y": np.array([0, 1] * 2), "x_test": np.zeros((2, 2))},
            "the test part has inputs only; add y_test",
        ),
        (
            {
                "x": np.zeros((4, 2)),
                "y": np.array([0, 1] * 2),
                "x_test": np.zeros((2, 2)),
                "y_test": np.zeros((2, 2)),
            },
            "targets of its parts differ in type or shape",
        ),
        (
            {"x": np.zeros((4, 8, 8), np.uint8), "y": np.array([0, 1] * 2)}
            | {"x_test": np.zeros((2, 8, 8)), "y_test": np.array([0, 1])},
            "inputs of its parts differ in type or shape",
        ),
        (
            {"x": np.zeros((4, 2)), "y": np.eye(4, dtype=int)},
            r"train whole numbers of shape \(4,\) are neither one class .* y.argmax\(1\)",
        ),
        ({"x": np.zeros((0, 4)), "y": np.zeros(0, int)}, "no training example|has no|no class"),
        (
            {"x": np.zeros((2, 2)), "y": np.array([0, 1]), "x_tset": np.zeros((2, 2))},
            "has an array 'x_tset', which is not read; did you mean 'x_test'",
        ),
    ],
)
def test_arrays_that_cannot_be_trained_on_are_refused(tmp_path: Path, arrays: dict, words: str):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=words):
        Arrays(path=str(tmp_path / "bad.npz")).load()


def test_arrays_of_other_names_are_said_not_to_be_read(tmp_path: Path):
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    np.savez(tmp_path / "more.npz", x=x, y=y, weights=x, when=y)
    assert (
        "arrays that are not read: weights, when"
        in Arrays(path=f"{tmp_path}/more.npz").load().notes
    )
    np.savez(tmp_path / "both.npz", x=x, y=y, x_test=x, y_test=y, classes=np.array(["a", "b"]))
    assert not any("read" in note for note in Arrays(path=f"{tmp_path}/both.npz").load().notes)


def test_a_file_that_is_no_npz_and_one_with_pickles_are_refused(tmp_path: Path):
    (tmp_path / "no.npz").write_bytes(b"PK not really")
    np.savez(tmp_path / "pickled.npz", x=np.array([{}, {}], dtype=object), y=np.array([0, 1]))
    for name in ("no", "pickled"):
        with pytest.raises(ValueError, match=rf"{name}\.npz cannot be read as \.npz"):
            Arrays(path=str(tmp_path / f"{name}.npz")).load()


def test_words_become_data_or_a_sentence_with_the_nearest_name(folder: Path):
    assert find_data("digits").name == "digits"
    assert isinstance(find_data(str(folder)), Folder)
    assert isinstance(find_data("package.module:thing"), Own)
    with pytest.raises(ValueError, match=r"no data set 'digts'.*did you mean 'digits'"):
        find_data("digts")
    with pytest.raises(ValueError, match="missing/set does not exist"):
        find_data("missing/set")


def test_numbers_of_any_size_are_learned_alike(tmp_path: Path):
    """An affine map of the targets is one of the predictions."""
    noise = np.random.default_rng(0)
    x = noise.normal(size=(300, 5)).astype(np.float32)
    y = (x @ noise.normal(size=5) + x[:, 0] ** 2).astype(np.float32)
    found = {}
    for name, targets in (("small", y), ("large", 3e5 + 5e4 * y)):
        np.savez(tmp_path / f"{name}.npz", x=x, y=targets)
        run = skipwise.train(
            f"{tmp_path}/{name}.npz", steps=150, out=f"{tmp_path}/{name}", report=False, quiet=True
        )
        assert run.test is not None
        found[name] = skipwise.load(run).outputs(x).double(), run.test.metrics
    (small, few), (large, many) = found["small"], found["large"]
    torch.testing.assert_close((large - 3e5) / 5e4, small, rtol=1e-3, atol=3e-3)
    assert many["r2"] == pytest.approx(few["r2"], abs=1e-3)
    assert few["r2"] > 0.8
    assert many["rmse"] == pytest.approx(5e4 * few["rmse"], rel=1e-2)
    test = Arrays(path=f"{tmp_path}/large.npz").load().test
    assert test is not None
    inputs, targets = test.gather(torch.arange(len(test)))
    error = (skipwise.load(tmp_path / "large").outputs(inputs) - targets).square().mean().sqrt()
    assert many["rmse"] == pytest.approx(float(error), rel=1e-4)


def test_inputs_and_targets_of_one_shape_in_two_units_are_said(tmp_path: Path):
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype(np.uint8)
    for name, y in (("apart", (x / 255).astype(np.float32)), ("alike", 0.5 * x)):
        np.savez(tmp_path / f"{name}.npz", x=x, y=y)
        notes = Arrays(path=f"{tmp_path}/{name}.npz").load().notes
        told = [note for note in notes if note.endswith("bring them to one scale")]
        assert bool(told) is (name == "apart")
        assert not told or f"they spread by {x.std():.3g} and {y.std():.3g}; bring" in told[0]


def test_whole_numbers_in_a_column_are_classes(tmp_path: Path):
    """As Keras gives the labels of CIFAR-10."""
    np.savez(tmp_path / "a.npz", x=np.zeros((6, 4)), y=np.array([[0], [1]] * 3, np.uint8))
    data = Arrays(path=str(tmp_path / "a.npz")).load()
    assert (data.task, data.classes) == ("classification", ("0", "1"))


def test_two_folders_of_one_part_are_refused(tmp_path: Path):
    for part in ("train", "val", "validation"):
        for name in ("a", "b"):
            paint(tmp_path / "s" / part / name / "1.png", (1, 0, 0))
    with pytest.raises(ValueError, match="several folders for one part among train, val, valid"):
        Folder(path=str(tmp_path / "s")).load()


def test_parts_without_one_to_train_on_are_no_classes(tmp_path: Path):
    for part in ("test", "val"):
        for name in ("a", "b"):
            paint(tmp_path / "s" / part / name / "1.png", (1, 0, 0))
    with pytest.raises(ValueError, match="has test, val but no train"):
        Folder(path=str(tmp_path / "s")).load()


def test_features_of_a_tiny_spread_are_brought_to_one(tmp_path: Path):
    x = np.random.default_rng(0).normal(5e-10, 3e-10, (4000, 2))
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(4000) % 2)
    data = Arrays(path=str(tmp_path / "a.npz")).load()
    inputs, _ = data.train.gather(torch.arange(len(data.train)))
    assert data.preprocessing(inputs).std(0) == pytest.approx([1.0, 1.0], rel=1e-3)
