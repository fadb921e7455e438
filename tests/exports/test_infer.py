"""The script beside a model: the pixels of predict, and one sentence for whatever is wrong."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import skipwise
from skipwise.data import Arrays, read_picture
from skipwise.exports import infer
from skipwise.exports.infer import read
from tests.exports.test_export import TINY, small
from tests.references import rings_file

CARD = {"channels": 3, "size": [8, 8]}


def picture(kind: str) -> Path:
    noise = np.random.default_rng(0)
    wide, path = noise.integers(0, 256, (9, 12, 4), dtype=np.uint8), Path(f"{kind}.png")
    if kind == "16 bits":
        Image.fromarray(noise.integers(0, 65536, (9, 12), dtype=np.uint16)).save(path)
    elif kind == "32 bits":
        path = path.with_suffix(".tif")
        Image.fromarray(noise.integers(0, 65536, (9, 12), dtype=np.int32)).save(path)
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(wide[..., :3]).save(path, exif=exif)
    else:
        Image.fromarray(wide).convert(kind).save(path)
    return path


@pytest.mark.parametrize("kind", ["16 bits", "32 bits", "turned", "RGBA", "LA", "P", "L", "1"])
def test_the_pixels_are_those_of_predict(kind: str):
    path = picture(kind)
    for channels in (1, 3):
        ours = read_picture(path, channels=channels, size=(8, 8)).permute(1, 2, 0)
        assert np.array_equal(read(path, {**CARD, "channels": channels})[0], ours.numpy())


def refused(path: Path) -> str:
    for attempt in (lambda: read_picture(path, channels=3, size=(8, 8)), lambda: read(path, CARD)):
        with pytest.raises(ValueError, match=r"stack|16 bits") as error:
            attempt()
    return str(error.value)


def test_what_predict_refuses_is_refused():
    many = [Image.new("L", (8, 8), n) for n in range(3)]
    many[0].save("stack.tif", save_all=True, append_images=many[1:])
    assert refused(Path("stack.tif")).startswith("it is a stack of pictures")
    for values in (np.full((8, 8), 0.5, np.float32), np.full((8, 8), 70_000, np.int32)):
        Image.fromarray(values).save("n.tif")
        assert refused(Path("n.tif")) == "its values do not fit; save it with 8 or 16 bits"


@pytest.mark.processes
@pytest.mark.xdist_group("processes")
def test_whatever_is_wrong_is_one_sentence_and_exit_code_2():
    run = skipwise.train(Arrays(path=str(rings_file(Path("rings.npz")))), small(), out="r", **TINY)
    skipwise.export(run, "m.onnx")
    Path("none.onnx").write_bytes(b"none")
    Image.new("1", (14_000, 14_000)).save("large.png")
    Image.new("F", (8, 8)).save("float.tif")
    Path("cut.png").write_bytes(Path("large.png").read_bytes()[:100])
    for wrong, told in {
        "": "infer.py: name a model and pictures",
        "m.onnx": "m.onnx: name a model and pictures",
        "missing.onnx cut.png": "missing.onnx: ",
        "none.onnx cut.png": "none.onnx: ",
        "m.onnx missing.png": "missing.png: ",
        "m.onnx m.onnx": "m.onnx: ",
        "m.onnx large.png": "large.png: Image size",
        "m.onnx float.tif": "float.tif: its values do not fit",
        "m.onnx cut.png": "cut.png: ",
    }.items():
        words = [sys.executable, "infer.py", *wrong.split()]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, ""), wrong
        assert done.stderr.startswith(told), done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.processes
@pytest.mark.xdist_group("processes")
@pytest.mark.parametrize("lacking", ["numpy", "PIL", "onnxruntime"])
def test_a_library_that_is_not_there_is_one_sentence(lacking: str):
    script = Path(infer.__file__)
    hidden = f"import runpy, sys; sys.modules[{lacking!r}] = None; sys.argv = ['infer.py', 'x']"
    run = f"{hidden}; runpy.run_path({str(script)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert lacking in done.stderr
    assert "pip install" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
