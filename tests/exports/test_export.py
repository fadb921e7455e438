"""An exported run equals predict, from picture files, without torch and without Skipwise."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

import skipwise
from skipwise.connections import Padded
from skipwise.data import Arrays, Folder
from skipwise.description import Call
from skipwise.exports import fold
from skipwise.exports.writing import open_onnx
from skipwise.shapes import Ends
from skipwise.weights import save_as
from tests.references import rings_file

TINY = {"steps": 12, "batch_size": 16, "quiet": True}
BLOCK = """
import runpy, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "skipwise", "torchvision", "onnx", "scipy"}:
            raise ImportError(name)
sys.meta_path.insert(0, Block())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ALONE = [sys.executable, "-I", "-c", BLOCK]


def small() -> skipwise.ResNet:
    return skipwise.ResNet(name="small", blocks=(1, 1), width=4)


def conv_net(channels: int, classes: int) -> nn.Module:
    features = nn.Sequential(nn.Conv2d(channels, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, classes))


def theirs() -> nn.Module:
    """A network for colours as the weights of others are of."""
    description = replace(skipwise.resnet20(), blocks=(1, 1), width=4, shortcut=Padded(side="both"))
    return description.build(Ends(inputs=(3, 8, 8), outputs=(5,)))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """JPEG files of mixed sizes, some grey, one turned by EXIF, one transparent."""
    noise = np.random.default_rng(0)
    for name, red in (("cat", 200), ("dog", 20)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for n in range(24):
            pixels = noise.integers(0, 50, (14 + n % 5, 16 + n % 7, 3), dtype=np.uint8)
            pixels[..., 0] += np.uint8(red)
            image, path = Image.fromarray(pixels), tmp_path / "pets" / name / f"{n}.jpg"
            exif = Image.Exif()
            exif[0x0112] = 6 if n == 4 else 1
            image.convert("L" if n == 3 else "RGB").save(path, exif=exif)
        clear = Image.new("RGBA", (15, 13), (red, 20, 20, 128))
        clear.save(tmp_path / "pets" / name / "clear.png")
    return tmp_path / "pets"


@pytest.fixture
def pets_run(pets: Path) -> str:
    data = Folder(path=str(pets), size=(12, 12))
    return skipwise.train(data, small(), out="run", **TINY).path


@pytest.mark.parametrize("resize", [False, True])
def test_the_script_alone_says_what_predict_says(pets_run: str, pets: Path, resize: bool):
    done = skipwise.export(pets_run, "m.onnx", resize=resize)
    files = [str(p) for p in sorted(pets.rglob("*.*g"))]
    found = subprocess.run(
        [*ALONE, "infer.py", "m.onnx", *files], capture_output=True, text=True, check=True
    )
    ours = skipwise.load(pets_run).predict(files)
    lines = [line.split() for line in found.stdout.splitlines()]
    assert [line[:2] for line in lines] == [[p.source, p.label] for p in ours]
    allowed = 1e-4
    assert all(abs(float(a[2]) - p.probability) < allowed for a, p in zip(lines, ours, strict=True))
    assert done.script == Path("infer.py")
    assert done.check.good
    assert done.check.difference < 1e-5
    assert f"equals predict on {done.check.examples} test pictures, from files" in str(done)


def test_the_metadata_say_all_that_a_user_needs(pets_run: str):
    skipwise.export(pets_run, "m.onnx")
    session = onnxruntime.InferenceSession("m.onnx")
    known = session.get_modelmeta().custom_metadata_map
    assert json.loads(known["classes"]) == ["cat", "dog"]
    assert known["input"] == "uint8 (batch, 12, 12, 3), RGB, 0 … 255"
    assert (known["task"], known["size"]) == ("classification", "[12, 12]")
    assert session.get_inputs()[0].shape == ["batch", 12, 12, 3]
    some = session.run(None, {"input": np.zeros((5, 12, 12, 3), np.uint8)})[0]
    np.testing.assert_allclose(np.asarray(some).sum(1), 1, atol=1e-6)


def test_a_file_of_torch_export_is_loaded_by_torch_alone(pets_run: str):
    skipwise.export(pets_run, "m.pt2")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 3), dtype=np.uint8)
    np.save("x.npy", pixels)
    code = (
        "import sys, torch, numpy as np; m = torch.export.load('m.pt2').module();"
        "np.save('p.npy', m(torch.from_numpy(np.load('x.npy'))).detach().numpy());"
        "sys.exit('skipwise' in sys.modules)"
    )
    subprocess.run([sys.executable, "-I", "-W", "ignore", "-c", code], check=True)
    outputs = skipwise.load(pets_run).outputs(pixels.transpose(0, 3, 1, 2)).softmax(1)
    np.testing.assert_allclose(np.load("p.npy"), outputs.numpy(), atol=1e-5)
    assert not Path("infer.py").exists()


def test_arrays_are_compared_as_arrays(tmp_path: Path):
    noise = np.random.default_rng(0)
    x = noise.normal(3.0, 2.0, (80, 6)).astype(np.float32)
    np.savez("lines.npz", x=x, y=(x @ noise.normal(size=(6, 2))).astype(np.float32) * 40)
    run = skipwise.train(Arrays(path="lines.npz"), out="run", **TINY)
    Path("infer.py").write_text("mine\n")  # no script is left beside a file that reads no pictures
    done = skipwise.export(run, "m.onnx")
    assert Path("infer.py").read_text() == "mine\n"
    assert "test examples, as arrays" in str(done)
    assert done.script is None
    found = onnxruntime.InferenceSession("m.onnx").run(None, {"input": x})[0]
    np.testing.assert_allclose(
        np.asarray(found), skipwise.load(run).outputs(x).numpy(), rtol=1e-4, atol=1e-4
    )


def test_several_labels_are_given_by_sigmoids(tmp_path: Path):
    noise = np.random.default_rng(0)
    rows = []
    for n in range(40):
        pixels = noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{n}.png")
        rows.append(f"{n}.png,{['a', 'b', 'a;b'][n % 3]}")
    Path("t.csv").write_text("\n".join(["path,label", *rows]))
    table = skipwise.Table(path=str(tmp_path / "t.csv"), multi_label=True)
    run = skipwise.train(table, small(), out="run", **TINY)
    skipwise.export(run, "m.onnx")
    ours = skipwise.load(run).predict(["0.png", "1.png"])
    words = [*ALONE, "infer.py", "m.onnx", "0.png", "1.png"]
    found = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    wanted = [" ".join(f"{p.source} {p.label} {p.probability:.4f}".split()) for p in ours]
    assert [" ".join(line.split()) for line in found.splitlines()] == wanted


def test_a_network_of_ones_own_is_exported_and_its_norm_folded(tmp_path: Path):
    call = Call(target="tests.exports.test_export:conv_net")
    rings_file(tmp_path / "rings.npz")
    run = skipwise.train(Arrays(path="rings.npz"), call, out="run", **TINY)
    done = skipwise.export(run, "m.onnx", allow=["tests"])
    assert (done.folding.folded, done.folding.kept) == (1, 0)
    assert done.check.good


def test_what_folding_changes_is_measured_on_numbers_as_pictures_have_them():
    rings_file(Path("rings.npz"))
    run = skipwise.train(Arrays(path="rings.npz"), small(), out="run", **TINY)
    predictor = skipwise.load(run)
    noise = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    inputs = predictor.preprocessing(255 * noise)
    assert 0.5 < float(inputs.std()) < 3  # about what a training batch has
    folded, _ = fold(predictor.model, inputs)
    with torch.no_grad():
        wanted = float((folded(inputs) - predictor.model.eval()(inputs)).abs().max())
    assert skipwise.export(run, "m.onnx").folding.difference == wanted


class Sly(nn.Module):
    """Computes something else when it is exported."""

    def __init__(self, classes: int):
        super().__init__()
        self.linear = nn.Linear(192, classes)

    def forward(self, x):
        y = self.linear(x.flatten(1))
        return y * 3 if torch.compiler.is_exporting() else y


class Branching(Sly):
    """Branches on a value."""

    def forward(self, x):
        return self.linear(x.flatten(1)) if x.mean() > 0 else self.linear(x.flatten(1)) * 2


def test_a_file_that_differs_from_predict_is_not_left(tmp_path: Path):
    rings_file(tmp_path / "rings.npz")
    Path("m.onnx").write_bytes(b"older")
    for kind, told in (("Sly", "differs from predict by"), ("Branching", "cannot be exported")):
        call = Call(target=f"tests.exports.test_export:{kind}")
        run = skipwise.train(Arrays(path="rings.npz"), call, out=kind, **TINY)
        with pytest.raises(ValueError, match=told):
            skipwise.export(run, "m.onnx", allow=["tests"])
    assert Path("m.onnx").read_bytes() == b"older"
    assert not Path("infer.py").exists()


class Spectral(Sly):
    """Asks for eigenvalues, for which ONNX has no operation."""

    def forward(self, x):
        y = self.linear(x.flatten(1)).float()  # there are none of bfloat16
        return y + torch.linalg.eigvalsh(y[:, :, None] * y[:, None])


def test_an_operation_that_onnx_lacks_is_named_and_another_file_can_be_written(tmp_path: Path):
    rings_file(tmp_path / "rings.npz")
    call = Call(target="tests.exports.test_export:Spectral")
    run = skipwise.train(Arrays(path="rings.npz"), call, out="run", **TINY)
    told = r"no form of the operation aten\.\w*eigh; a file \.pt2, .* can be written instead$"
    with pytest.raises(ValueError, match=told):
        skipwise.export(run, "m.onnx", allow=["tests"])
    assert not Path("m.onnx").exists()
    assert skipwise.export(run, "m.pt2", allow=["tests"]).check.good


def test_what_onnxruntime_cannot_open_is_one_sentence(tmp_path: Path):
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"onnxruntime cannot compute what was written: .*pt2"):
        open_onnx(tmp_path / "m.onnx")


def test_without_data_random_pictures_are_compared_and_it_is_said(pets_run: str, pets: Path):
    weights = skipwise.export(f"{pets_run}/best.safetensors", "w.onnx")
    assert "has no data: compared on random examples" in str(weights)
    assert weights.check.what == "random pictures, from files"
    named = skipwise.export(f"{pets_run}/best.safetensors", "w.onnx", data=str(pets))
    assert named.check.what == "of all pictures, from files"
    pets.rename(pets.with_name("moved"))
    gone = skipwise.export(pets_run, "g.onnx")
    assert "its own data cannot be read" in str(gone)
    with pytest.raises(ValueError, match="name data with --data to measure what eight bits lose"):
        skipwise.export(pets_run, "g.onnx", int8=True)


def test_weights_of_others_are_compared_on_data_of_as_many_classes():
    save_as("theirs.pth", theirs(), "cifar")
    rings_file(Path("rings.npz"))
    done = skipwise.export("theirs.pth", "m.onnx", data="rings.npz")
    assert "its outputs are taken for the classes in their order" in str(done)
    assert done.check.what == "of all pictures, from files"


def test_pictures_of_four_channels_are_read_as_arrays():
    noise = np.random.default_rng(0)
    x = noise.integers(0, 256, (60, 8, 8, 4), dtype=np.uint8)
    np.savez("four.npz", x=x, y=np.arange(60) % 2)
    run = skipwise.train(Arrays(path="four.npz"), small(), out="run", **TINY)
    done = skipwise.export(run, "m.onnx")
    assert (done.script, done.reads) == (None, "float32 (batch, 4, 8, 8)")
    assert done.check.what.endswith("examples, as arrays")
    Image.fromarray(x[0]).save("a.png")
    with pytest.raises(ValueError, match=r"reads examples of shape .*, not picture files"):
        skipwise.load(run).predict("a.png")


def test_views_named_by_a_word_are_inside_the_file(pets_run: str):
    skipwise.export(pets_run, "seen.onnx", views="flip")
    skipwise.export(pets_run, "plain.onnx", views="none")
    pixels = np.random.default_rng(1).integers(0, 256, (4, 12, 12, 3), dtype=np.uint8)
    plain, seen = (
        np.asarray(onnxruntime.InferenceSession(name).run(None, {"input": pixels})[0])
        for name in ("plain.onnx", "seen.onnx")
    )
    predictor = skipwise.load(pets_run)
    raw = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    outputs, mirrored = predictor.outputs(raw), predictor.outputs(raw.flip(3))
    np.testing.assert_allclose(plain, outputs.softmax(1), atol=1e-5)
    np.testing.assert_allclose(seen, ((outputs + mirrored) / 2).softmax(1), atol=1e-5)
    assert np.abs(plain - seen).max() > 1e-3
    with pytest.raises(ValueError, match="there are no views 'flipp'; did you mean 'flip'"):
        skipwise.export(pets_run, "m.onnx", views="flipp")
