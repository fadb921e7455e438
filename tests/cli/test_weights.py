"""Weights on the command line: fine-tuning, scoring and predicting with anybody's files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from skipwise.data import read_inputs
from skipwise.training import autocast_type
from skipwise.weights import load_network
from tests.cli.commands import SMALL, call, fails

WEIGHTS = "resnet_cifar10_weights/resnet20-12fca82f.th"


@pytest.fixture
def ten(shared: Path) -> str:
    """Forty test pictures of CIFAR-10, the twenty at hand and their mirror images."""
    stored = np.load(shared / "resnet_cifar10_weights" / "cifar10_png20.npz")
    x = np.concatenate([stored["x"], stored["x"][:, :, ::-1]])
    y = np.concatenate([stored["y"], stored["y"]])
    rest = [n for n in range(10) if n not in y]
    y = np.concatenate([y, rest]).astype(np.int64)
    np.savez("ten.npz", x=np.concatenate([x, x[: len(rest)]]), y=y)
    return "ten.npz"


def test_fine_tuning_says_what_it_does_and_the_run_is_used_like_any(capsys, shared, pictures):
    words = f"--weights {shared / WEIGHTS} --freeze trunk --epochs 15 --out tuned --json".split()
    code, out, err = call(capsys, "train", pictures, *words)
    assert code == 0, err
    assert "97 tensors, 271,098 numbers, matched" not in err  # the head's two are new
    for told in (
        "akamaster's CIFAR networks: 95 tensors, 270,448 numbers, matched",
        "a new head of 2 outputs replaces the file's of 10",
        "frozen parts stay as they are: 130 numbers learn",
    ):
        assert told in err
        assert any(told in note for note in json.loads(out)["notes"])
    assert json.loads(out)["test"]["metrics"]["accuracy"] == 1.0
    code, out, _ = call(capsys, "predict", "tuned", f"{pictures}/dog/3.png")
    assert out.split()[1] == "dog"
    assert call(capsys, "resume", "tuned", "--epochs", "16", "--quiet")[0] == 0
    code, out, err = call(
        capsys, "train", pictures, "--weights", "tuned", "--steps", "1", "--out", "again"
    )
    assert "the file's head is kept, for its 2 outputs are the same" in err


def normalised(file: str) -> torch.Tensor:
    """Give the pictures as the weights of others read them."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    shares = ((np.load(file)["x"] / 255 - mean) / std).astype(np.float32)
    return torch.from_numpy(shares).permute(0, 3, 1, 2)


def test_a_file_of_others_is_scored_on_data_of_as_many_classes(capsys, shared, ten: str):
    code, out, err = call(capsys, "evaluate", str(shared / WEIGHTS), ten, "--json")
    assert code == 0, err
    assert "normalised with the mean and deviation of ImageNet" in err
    y = np.load(ten)["y"]
    with torch.no_grad():
        right = load_network(shared / WEIGHTS)(normalised(ten)).argmax(1).numpy() == y
    assert json.loads(out)["accuracy"] == pytest.approx(right.mean())
    assert json.loads(out)["examples"] == len(y)
    told = fails(capsys, "evaluate", str(shared / WEIGHTS), "digits", "--part", "validated")
    assert "part must be" in told


def test_a_file_of_others_predicts_pictures_by_the_number_of_their_class(capsys, shared, ten):
    Image.fromarray(np.load(ten)["x"][0]).save("cat.png")
    code, out, err = call(capsys, "predict", str(shared / WEIGHTS), "cat.png", "--json")
    assert code == 0, err
    assert json.loads(out)["predictions"][0]["class"] == str(np.load(ten)["y"][0]) == "3"
    assert read_inputs(Path(ten)).shape[1:] == (3, 32, 32)


def test_grey_data_are_scored_by_a_run_that_reads_colours(capsys, shared):
    words = f"--weights {shared / WEIGHTS} --steps 2 --out grey --quiet --json".split()
    _, out, _ = call(capsys, "train", "digits", *words)
    code, again, err = call(capsys, "evaluate", "grey", "digits", "--json")
    assert code == 0, err
    trained = json.loads(out)["test"]["metrics"]
    assert json.loads(again)["accuracy"] == trained["accuracy"]


def test_an_experiment_file_can_begin_from_other_weights(capsys, shared, rings: str):
    call(capsys, "train", rings, "--steps", "1", "--out", "a", *SMALL)
    words = f"--weights {shared / WEIGHTS} --freeze 2 --out b".split()
    code, _, err = call(capsys, "train", "a/experiment.yaml", *words)
    assert code == 0, err
    assert "a new head of 5 outputs replaces the file's of 10" in err
    assert "freeze: 2" in Path("b/experiment.yaml").read_text()
    call(capsys, "train", "b/experiment.yaml", "--out", "c", "--quiet")
    assert Path("b/best.safetensors").read_bytes() == Path("c/best.safetensors").read_bytes()


def test_weights_among_the_settings_decide_what_those_of_the_option_do(capsys, shared, pictures):
    weights = str(shared / WEIGHTS)
    for name, words in (("a", ("--weights", weights)), ("b", ("--set", f"weights={weights}"))):
        code, _, err = call(capsys, "train", pictures, *words, "--steps", "1", "--out", name)
        assert code == 0, err
        assert "normalised with the mean and deviation of ImageNet" in err
    option, setting = (Path(name, "experiment.yaml").read_text() for name in "ab")
    assert option == setting
    assert f"- {255 * 0.485}\n" in option
    assert "name: finetuning" in option
    start, end = option.index("preprocessing:"), option.index("sync_norms:")
    Path("by_hand.yaml").write_text(f"{option[:start]}preprocessing: null\n{option[end:]}")
    call(capsys, "train", "by_hand.yaml", "--out", "c", "--quiet")
    assert Path("c/experiment.yaml").read_text() == option
    call(capsys, "train", pictures, "--steps", "1", "--out", "own", *SMALL)
    words = ("own/experiment.yaml", "--set", f"weights={weights}", "--out", "d", "--quiet")
    call(capsys, "train", *words)
    assert f"- {255 * 0.485}\n" in Path("d/experiment.yaml").read_text()


def test_wrong_weights_and_flags_are_one_sentence(capsys, shared, rings: str):
    weights = str(shared / WEIGHTS)
    for words, told in (
        (("--weights", "none.pth"), "none.pth does not exist; weights are a file, or a run's"),
        (("--weights", weights, "--freeze", "10"), "has 9 blocks, and freeze=10 asks for more"),
        (("--freeze", "-1"), "freeze must be a number of blocks"),
        (("--freeze", "body"), "'trunk' for all but the head; got 'body'"),
        (("--set", "strategy.layer_decay=2"), "layer_decay must lie in (0, 1], got 2"),
        (
            ("--weights", weights, "--network", "resnet56"),
            "has no layer1.3.conv1.weight, which the network needs in shape (16, 16, 3, 3)",
        ),
        (
            ("--weights", weights, "--set", "network.width=8"),
            "conv1.weight has shape (16, 3, 3, 3), the network needs (8, 3, 3, 3)",
        ),
    ):
        assert told in fails(capsys, "train", rings, *words)
    assert not Path("runs").exists()
    told = fails(capsys, "evaluate", weights, rings)
    assert "outputs (10,), rings is classification with outputs (5,)" in told


def test_views_are_shown_to_weights_of_others_too(capsys, shared: Path, ten: str):
    network, x = load_network(shared / WEIGHTS), normalised(ten)
    with torch.no_grad():
        one, mirrored = network(x).double(), network(x.flip(3)).double()
    labels = torch.from_numpy(np.load(ten)["y"])
    is_exact = autocast_type("auto", torch.device("cpu")) is None
    for views, outputs in (("none", one), ("flip", (one + mirrored) / 2)):
        code, out, err = call(
            capsys, "evaluate", str(shared / WEIGHTS), ten, "--views", views, "--json"
        )
        assert code == 0, err
        loss = torch.nn.functional.cross_entropy(outputs, labels).item()
        # bfloat16 has three digits
        assert json.loads(out)["loss"] == pytest.approx(loss, rel=1e-5 if is_exact else 2e-2)
