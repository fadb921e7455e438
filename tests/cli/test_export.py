"""``export`` on the command line: what is printed, and one sentence for every wrong input."""

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torchvision.models.resnet import BasicBlock, ResNet

import skipwise
from skipwise.weights import load_network
from tests.cli.commands import SMALL, call, fails

WITHOUT = """
import sys
sys.modules["onnxruntime"] = None  # as if it were not installed
from skipwise.cli import main; main()
"""
PROGRAM = [sys.executable, "-c", "from skipwise.cli import main; main()"]


@pytest.fixture
def run(capsys, rings: str) -> str:
    assert call(capsys, "train", rings, "--steps", "2", "--out", "run", *SMALL)[0] == 0
    return "run"


def test_export_says_what_it_wrote_and_how_it_compares(capsys, run: str):
    code, out, err = call(capsys, "export", run, "m.onnx", "--views", "flip")
    assert (code, err) == (0, "")
    assert "reads uint8 (batch, 8, 8, 3), RGB, 0 … 255" in out
    assert "5 of 5 BatchNorms folded" in out
    assert re.search("equals predict on [0-9]+ test pictures, from files: largest difference", out)
    assert re.search(r"on this machine [0-9.]+ ms for one example, [0-9.]+ ms for 16\n", out)
    assert "try it: python infer.py m.onnx picture.png …" in out
    code, out, _ = call(capsys, "export", run, "m.pt2", "--resize", "--json")
    found = json.loads(out)
    assert (code, found["path"], found["script"]) == (0, "m.pt2", None)
    assert found["check"]["difference"] < 1e-5
    assert min(found["speed"].values()) > 0
    assert found["speed_before"] is None
    assert call(capsys, "export", f"{run}/best.safetensors", "m.onnx")[0] == 0


def test_a_regression_is_one_json_object_too(capsys):
    x = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    np.savez("lines.npz", x=x, y=x[:, :2] * 40)
    assert call(capsys, "train", "lines.npz", "--steps", "2", "--out", "run", "--quiet")[0] == 0
    code, out, err = call(capsys, "export", "run", "m.onnx", "--int8", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert 0 <= found["check"]["difference"] < 1e-4 < found["loss"]["difference"]


def test_classes_that_differ_are_named_three_at_most(capsys, run: str):
    x, y = (np.load("rings.npz")[key] for key in "xy")
    np.savez("named.npz", x=x, y=y, classes=["0", "ant", "bee", "cat", "dog"])
    told = fails(capsys, "export", run, "m.onnx", "--data", "named.npz")
    assert "named has ant, bee, cat and 1 more, known are only 0, 1, 2 and 2 more; rename" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("m.tflite",), "m.tflite must end in .onnx, in .pt2 for torch.export.load, or"),
        (("none/m.onnx",), "none is no folder, so the model could not be written to none/m.onnx"),
        (("m.pt2", "--int8"), "eight bits are for .onnx; export m.onnx"),
        (("m.onnx", "--calibrate"), "calibrate has no effect without int8; add it"),
        (("m.onnx", "--data", "digits"), "the network was trained for classification with outputs"),
        (("m.onnx", "--views", "flop"), "there are no views 'flop'"),
        (("folder.onnx",), "folder.onnx is a folder, so the model could not be written"),
    ],
)
def test_wrong_words_are_one_sentence(capsys, run: str, words, told: str):
    Path("folder.onnx").mkdir()
    assert told in fails(capsys, "export", run, *words)
    assert not Path("m.onnx").exists()


def test_a_run_without_weights_and_a_script_of_ones_own_are_refused(capsys, run: str):
    Path("empty").mkdir()
    assert "empty is neither a run's folder nor" in fails(capsys, "export", "empty", "m.onnx")
    Path("empty/experiment.yaml").touch()
    assert "a run has weights after its first evaluation" in fails(
        capsys, "export", "empty", "m.onnx"
    )
    Path("infer.py").write_text("mine\n")
    told = fails(capsys, "export", run, "m.onnx")
    assert "infer.py is not the one that an export leaves and would be overwritten" in told
    assert Path("infer.py").read_text() == "mine\n"


@pytest.mark.processes
@pytest.mark.xdist_group("processes")
def test_a_missing_extra_is_the_line_that_installs_it_and_a_full_disk_leaves_nothing(run: str):
    words = ["export", run, "m.onnx"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "skipwise: export to ONNX needs onnxruntime, not installed here;"
        ' install it: .venv/bin/pip install -e ".[export]"\n'
    )

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    done = subprocess.run(
        [*PROGRAM, *words],
        capture_output=True,
        text=True,
        preexec_fn=full,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "File too large: /" in done.stderr
    assert "; make room or rights; what was saved before is as it was" in done.stderr
    assert sorted(p.name for p in Path().iterdir()) == ["rings.npz", "run"]


@pytest.fixture
def four_stages(capsys) -> Path:
    """A run of torchvision's own form: four stages from 64 wide, the stem for large pictures."""
    noise = np.random.default_rng(0)
    x = noise.integers(0, 256, (24, 3, 64, 64), dtype=np.uint8)
    np.savez("large.npz", x=x, y=np.arange(24) % 3, classes=["ant", "bee", "cat"])
    words = "--network resnet18 --set network.blocks=[1,1,1,1] --set network.stem=LargeStem"
    words += " --steps 3 --batch-size 8 --out large --quiet"
    code, _, err = call(capsys, "train", "large.npz", *words.split())
    assert code == 0, err
    return Path("large")


@pytest.mark.parametrize("name", ["m.pth", "m.safetensors"])
def test_torchvisions_own_network_loads_the_file_strictly_and_computes_predict(
    capsys, four_stages: Path, name: str
):
    told = fails(capsys, "export", str(four_stages), name)
    assert "torchvision and timm have this network; say which with --format" in told
    assert not Path(name).exists()
    code, out, err = call(capsys, "export", str(four_stages), name, "--format", "torchvision")
    assert (code, err) == (0, "")
    assert "under the names of torchvision, tensors alone" in out
    assert "logits of the softmax of the classes, in this order: ant, bee, cat" in out
    words = ("export", str(four_stages), name, "--format", "torchvision", "--json")
    said = json.loads(call(capsys, *words)[1])
    theirs = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=3).eval()
    loaded = load_file(name) if name == "m.safetensors" else torch.load(name, weights_only=True)
    theirs.load_state_dict(loaded, strict=True)
    x = torch.from_numpy(np.load("large.npz")["x"])
    mean, std = (torch.tensor(said[key]).view(-1, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        found = theirs((x - mean) / std)
    predictor = skipwise.load(four_stages)
    assert (found - predictor.outputs(x)).abs().max() < 1e-5
    classes = [said["classes"][n] for n in found.argmax(1).tolist()]
    assert classes == [p.label for p in predictor.predict(x)]


def test_the_one_library_that_has_a_network_is_found(capsys, rings: str):
    words = "--set network.blocks=[1,1,1] --set network.shortcut=Projected --out three"
    assert call(capsys, "train", rings, "--steps", "2", *SMALL, *words.split())[0] == 0
    code, out, _ = call(capsys, "export", "three", "m.pth")
    assert code == 0
    assert "under the names of cifar" in out
    assert {"linear.weight", "layer2.0.shortcut.0.weight"} <= set(torch.load("m.pth"))
    for library in ("torchvision", "timm"):
        told = fails(capsys, "export", "three", "other.pth", "--format", library)
        assert f"{library} has no such network: it has 3 stages, where its networks have 4" in told
        assert not Path("other.pth").exists()
    x = torch.from_numpy(np.load("rings.npz")["x"][:8]).permute(0, 3, 1, 2)
    predictor, again = skipwise.load("three"), load_network("m.pth")
    with torch.no_grad():
        assert (again(predictor.preprocessing(x)) - predictor.outputs(x)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("m.pth",), "no other library has this network: torchvision has no such network: trunk"),
        (("m.pth", "--format", "timm"), "timm has no such network: trunk.blocks.1"),
        (("m.pth", "--format", "keras"), "must be one of torchvision, timm, cifar, got 'keras'"),
        (("m.pth", "--int8"), "--int8 has no effect on m.pth, which holds tensors alone"),
        (("m.safetensors", "--views", "flip"), "--views has no effect on m.safetensors"),
        (("m.onnx", "--format", "timm"), "--format names the library for .pth or .safetensors"),
        (("none/m.pth",), "none is no folder, so the weights could not be written"),
        (("run/best.safetensors",), "best.safetensors is the file that is read; name another"),
    ],
)
def test_wrong_words_about_another_library_are_one_sentence(capsys, run: str, words, told: str):
    before = Path("run/best.safetensors").read_bytes()
    assert told in fails(capsys, "export", run, *words)
    assert not list(Path().glob("m.*"))
    assert Path("run/best.safetensors").read_bytes() == before
