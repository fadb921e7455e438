"""``skipwise find-rate``: a line that trains, a picture, one sentence for wrong input."""

import json
import shlex
from pathlib import Path

import pytest
import torch

import skipwise
from skipwise.cli.tuning import next_to_try
from skipwise.data import Digits
from skipwise.experiment import Experiment
from skipwise.networks import resnet20
from skipwise.runs import experiment_of
from skipwise.strategies import nesterov
from skipwise.tuning import NothingFound, Search
from skipwise.weights import read_tensors
from tests.cli.commands import call, fails

TINY = "--set network.width=4 --set network.blocks=[1,1] --batch-size 32".split()
FEW = (*TINY, "--seeds", "1", "--steps", "20", "--quiet")


def test_the_line_that_it_prints_trains_with_the_rate(capsys, rings: str):
    code, out, err = call(capsys, "find-rate", rings, *FEW, "--out", "rate.html")
    assert (code, err) == (0, "")
    *said, picture, line = out.strip().splitlines()
    assert said[0].startswith("The rate is ")
    assert picture == "picture: rate.html"
    assert Path("rate.html").stat().st_size > 1e6
    words = line.removeprefix("train with it: skipwise ").replace("'", "").split()
    code, out, _ = call(capsys, *words, "--steps", "2", "--out", "run", "--quiet", "--no-report")
    assert code == 0
    rate = words[-1].removeprefix("strategy.peak_lr=")
    assert f"peak_lr: {rate}" in Path("run/experiment.yaml").read_text()


def test_json_holds_every_test_and_every_run(capsys, rings: str):
    code, out, _ = call(capsys, "find-rate", rings, *FEW, "--strategy", "adamw", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["low"] < found["rate"] < found["high"]
    assert (found["network"], found["strategy"]) == ("resnet20", "adamw")
    assert len(found["sweeps"][0]["rates"]) == len(found["sweeps"][0]["losses"]) <= 20
    assert {"rate", "seed", "score", "validation"} == set(found["trials"][0])
    assert found["train"].endswith(f"--set strategy.peak_lr={found['rate']:g}")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--low", "1", "--high", "0.1"), "the range of rates from 1 to 0.1 is empty"),
        (("--low", "0"), "the range of rates from 0 to 10 is empty or not positive"),
        (("--steps", "5"), "a range test of 5 steps says nothing; give at least 20"),
        (("--seeds", "0"), "seeds must be positive, got 0"),
        (("--strategy", "adamm"), "there is no strategy 'adamm'; did you mean 'adam'?"),
        (("--out", "nowhere/rate.html"), "nowhere is no folder, so the picture could not be"),
        (("--low", "5", "--steps", "20"), "the loss does not fall at rates from 5 on"),
        (("--size", "64"), "--size is for folders of pictures and tables of them"),
        (("--memory", "much"), "'much' is no amount of memory; write 4g or 500m"),
        (("--multi-label",), "--multi-label is for folders of pictures and tables of them"),
        (("--skip-bad",), "--skip-bad is for folders of pictures and tables of them"),
        (("--freeze", "trunk"), "freeze keeps parts of what a file of weights gives"),
        (("--weights", "none.pth"), "none.pth does not exist; weights are a file, or a run"),
    ],
)
def test_wrong_input_is_one_sentence(capsys, rings: str, words: tuple[str, ...], told: str):
    assert told in fails(capsys, "find-rate", rings, *TINY, "--quiet", *words)


def test_where_nothing_is_found_the_line_that_is_named_finds_a_rate(capsys, rings: str):
    words = (*TINY, "--quiet", "--low", "5", "--steps", "20", "--seeds", "1")
    told = fails(capsys, "find-rate", rings, *words)
    assert f"no rate was found for resnet20 on {rings} with nesterov: with seed 0" in told
    line = told.strip().partition("; try: skipwise ")[2]
    assert line.startswith(f"find-rate {rings} --batch-size 32 --seeds 1 --steps 20 --low 0.005")
    code, out, _ = call(capsys, *shlex.split(line))
    assert code == 0
    assert out.startswith("The rate is ")


def test_what_is_tried_next_lies_below_what_diverged_or_is_a_diagnosis():
    experiment = Experiment(data=Digits(), network=resnet20(), strategy=nesterov(), epochs=1)
    given = {"--network": "resnet20", "--seeds": 3}

    def told(error: NothingFound) -> str:
        return next_to_try(error, "digits", experiment, Search(), given, ("network.width=4",), ())

    diverged = told(NothingFound("all diverged", high=0.033))
    assert diverged == (
        "no rate was found for resnet20 on digits with nesterov: all diverged; try: skipwise"
        " find-rate digits --network resnet20 --seeds 3 --low 1e-06 --high 0.033 --set"
        " network.width=4"
    )
    assert "--low 1e-09 --high 1e-06" in told(NothingFound("all diverged", high=1e-6))
    assert "--low 1e-09 --high 10" in told(NothingFound("it does not fall", low=1e-9))
    lower = told(NothingFound("it does not fall", low=1e-12))
    assert lower.endswith("so look at both: skipwise diagnose resnet20 --data digits")


def test_a_rule_that_needs_no_rate_is_trained_with_at_once(capsys, rings: str):
    told = fails(capsys, "find-rate", rings, *TINY, "--quiet", "--strategy", "lbfgs")
    assert "LBFGS finds the size of its steps itself" in told
    assert f"as it is: skipwise train {rings} --strategy lbfgs --batch-size 32 --set" in told


def line_of(capsys, *words: str) -> tuple[dict, list[str]]:
    """Find a rate on pictures, and give what was found and the words that train with it."""
    more = "--seeds 1 --steps 20 --quiet --set precision=float32 --json".split()
    code, out, err = call(capsys, "find-rate", *words, *more)
    assert code == 0, err
    found = json.loads(out)
    return found, shlex.split(found["train"].removeprefix("skipwise "))


def test_a_rate_for_a_head_on_a_frozen_trunk_and_the_line_that_trains_it(capsys, pictures: str):
    few = (*TINY, "--network", "resnet20", "--steps", "3", "--quiet", "--no-report")
    assert call(capsys, "train", pictures, *few, "--out", "base")[0] == 0
    for n in range(8):
        Path(pictures, "dog", f"{n}.png").unlink()
    how = "--weights base --freeze trunk --class-weights --size 8 --batch-size 99 --augment none"
    found, train = line_of(capsys, pictures, *how.split())
    given, data = shlex.join(train), skipwise.Folder(path=pictures, size=(8, 8)).load()
    assert f"{pictures} --batch-size 99 --augment none --class-weights --weights base" in given
    raw, labels = data.train.gather(torch.arange(len(data.train)))  # the first batch holds them all
    base = skipwise.load("base")
    with torch.no_grad():  # in evaluation mode, for norms of a frozen trunk stay as they are
        losses = torch.nn.functional.cross_entropy(
            base.model(base.preprocessing(raw)), labels, reduction="none"
        )
    of_classes = torch.stack([losses[labels == n].mean() for n in range(2)])
    assert abs(of_classes.mean() - losses.mean()) > 1e-3
    assert found["sweeps"][0]["losses"][0] == pytest.approx(float(of_classes.mean()), rel=1e-5)
    code, _, err = call(capsys, *train, "--steps", "2", "--out", "run", "--quiet", "--no-report")
    assert code == 0, err
    run, (before, after) = (
        experiment_of(Path("run")),
        (read_tensors(Path(name, "best.safetensors"))[0] for name in ("base", "run")),
    )
    assert (run.freeze, run.class_weights, run.strategy.name) == ("trunk", True, "finetuning")
    assert (vars(run.data)["size"], run.strategy.peak_lr) == ((8, 8), found["rate"])
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert set(before) - still == {"head.linear.weight", "head.linear.bias"}


def test_pictures_that_cannot_be_read_and_have_several_labels_are_looked_at_as_in_training(
    capsys, pictures: str
):
    Path(pictures, "cat", "0.png").write_text("no picture")
    Path(pictures, "cat").rename(Path(pictures, "cat+red"))
    words = (pictures, "--multi-label", "--memory", "0", "--size", "6")
    assert "0.png" in fails(capsys, "find-rate", *words, *FEW)
    _, train = line_of(capsys, *words, *TINY, "--skip-bad")
    code, _, err = call(capsys, *train, "--steps", "1", "--out", "run", "--json", "--no-report")
    assert code == 0, err
    assert "multi-label, 3 classes, examples 3×6×6" in err
    data = vars(experiment_of(Path("run")).data)
    assert (data["skip_bad"], data["multi_label"], data["memory_bytes"]) == (True, True, 0)


@pytest.mark.parametrize("command", ["train", "find-rate", "compare"])
def test_the_help_tells_of_the_options_that_commands_share(capsys, command: str):
    _, out, _ = call(capsys, command, "--help")
    for option in ("batch-size", "augment", "class-weights", "weights", "freeze", "size"):
        assert f"--{option} " in out
    assert all(f"--{option} " in out for option in ("memory", "multi-label", "skip-bad"))
    assert "Bring pictures to this size" in out
    assert "common" not in out.lower()
