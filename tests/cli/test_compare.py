"""``skipwise compare``: one sentence for wrong input before anything trains, and what it prints."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from skipwise.prediction import load
from skipwise.records import EvaluationRecord, read_journal
from skipwise.runs import experiment_of
from tests.cli.commands import call, fails
from tests.studies.small import SETTINGS

TWO = ("--network", "resnet20", "--strategy", "sgd,momentum", "--steps", "4", "--seeds", "1")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--strategy", "sgd,momentun"),
            "there is no strategy 'momentun'; did you mean 'momentum'?",
        ),
        (("--network", "resnet20,resnet57"), "there is no network 'resnet57'; did you mean"),
        (("--strategy", "sgd"), "there is one arm only, 'sgd'; give a second --network"),
        (("--strategy", "sgd,adam", "--seeds", "0"), "a study needs at least 1 seed, got 0"),
        (("--strategy", "sgd,adam", "--seeds", "1.5"), "'1.5' is no whole number"),
        (
            ("--strategy", "sgd,adam", "--baseline", "adm"),
            "the baseline 'adm' is neither a strategy",
        ),
        (("--strategy", "sgd,adam", "--jobs", "0"), "jobs must be at least 1, got 0"),
        (("--strategy", "sgd,adam", "--tune", "1"), "tuning needs at least 2 trials an arm"),
        (("--strategy", "sgd,adam", "--tuner", "grid"), "tuner must be one of random, optuna"),
        (("--strategy", "sgd,adam", "--halving"), "halving needs at least 3 trials an arm, got 0"),
        (
            ("--strategy", "sgd,adam", "--tune", "4", "--tuner", "optuna", "--halving"),
            "halving begins all trials together and optuna chooses each by the scores",
        ),
        (("--strategy", "sgd,adam", "--margin", "-1"), "margin must be positive, got -1.0"),
        (("--strategy", "sgd,adam", "--target", "92"), "a target is a share in (0, 1], 0.92 for"),
        (
            ("--strategy", "sgd", "--vary", "strategy.peak_lr=0.1,0.1"),
            "strategy.peak_lr varies over 0.1 twice",
        ),
        (("--strategy", "sgd", "--vary", "network.width"), "--vary takes path=v1,v2"),
        (
            ("--strategy", "sgd", "--vary", "network.widt=4,8"),
            "no field 'widt'; did you mean 'width'",
        ),
        (
            ("--strategy", "sgd", "--vary", "data.shares.test=0.1,0.2"),
            "all arms share data, seeds and length",
        ),
        (("--strategy", "sgd", "--vary", "epochs=2,20"), "all arms share data, seeds and length"),
        (
            (*("--vary", "network.width=4,8") * 2, "--strategy", "sgd"),
            "--vary network.width stands twice",
        ),
        (("--strategy", "sgd,adam", "--set", "seed=5"), "the runs of an arm have the seeds 0, 1"),
        (("--strategy", "sgd", "--set", "network.width=8"), "--set network.… needs --network"),
        (("--strategy", "sgd,adam", "--steps", "5", "--epochs", "1"), "give one length"),
        (("--strategy", "sgd,adam", "--set", "target=0.9"), "a run of a study stops at no target"),
        (("--strategy", "sgd,adam", "--ablate"), "an ablation is of one strategy on one network"),
        (("--strategy", "sgd,adam", "--freeze", "2"), "freeze keeps parts of what a file of"),
        (("--strategy", "sgd", "--vary", "freeze=0,1"), "freeze keeps parts of what a file of"),
        (("--strategy", "sgd,adam", "--weights", "none.pth"), "none.pth does not exist; weights"),
        (("--strategy", "sgd,adam", "--size", "64"), "--size is for folders of pictures and"),
        (("--strategy", "sgd,adam", "--memory", "much"), "'much' is no amount of memory; write"),
        (("--strategy", "sgd,adam", "--multi-label"), "--multi-label is for folders of pictures"),
        (("--strategy", "sgd,adam", "--skip-bad"), "--skip-bad is for folders of pictures and"),
        (
            ("--strategy", "sgd,adam", "--set", "weights=none.pth"),
            "none.pth does not exist; weights",
        ),
        (("--strategy", "sgd,adam", "--augment", "flipp"), "no augmentation 'flipp'; did you mean"),
        (("--strategy", "sgd,adam", "--json", "--csv"), "--json and --csv both print the result"),
        (
            ("--strategy", "sgd,adam", "--ray", "auto"),
            "'auto' is no address of a Ray cluster; give",
        ),
        (
            ("--strategy", "sgd,adam", "--ray", "127.0.0.1:1"),
            "no Ray cluster answers at 127.0.0.1:1",
        ),
    ],
)
def test_wrong_input_is_one_sentence_before_anything_trains(capsys, words, told: str):
    assert told in fails(capsys, "compare", "digits", "--quiet", *words)
    assert not Path("studies").exists()


@pytest.mark.parametrize(
    ("package", "words", "told"),
    [
        ("ray", ("--ray",), 'Ray is not installed; .venv/bin/pip install -e ".[ray]"'),
        ("optuna", ("--tune", "4", "--tuner", "optuna"), "Optuna is not installed; .venv/bin/pip"),
    ],
)
def test_a_missing_extra_is_the_line_that_installs_it(
    capsys, monkeypatch: pytest.MonkeyPatch, package: str, words, told: str
):
    monkeypatch.setitem(sys.modules, package, None)
    assert told in fails(capsys, "compare", "digits", "--strategy", "sgd,adam", *words, "--quiet")
    assert not Path("studies").exists()


def test_wrong_files_and_folders_are_one_sentence(capsys, rings: str):
    assert "there is no data set 'digts'" in fails(capsys, "compare", "digts")
    assert "nowhere.yaml cannot be read" in fails(capsys, "compare", "nowhere.yaml")
    Path("full").mkdir()
    Path("full/thesis.tex").touch()
    told = fails(capsys, "compare", rings, *TWO, *SETTINGS, "--out", "full", "--quiet")
    assert "full is not empty and no study; name another folder with --out" in told


@pytest.mark.processes
def test_a_study_is_printed_continued_and_guarded(capsys, rings: str):
    words = ("compare", rings, *TWO, *SETTINGS, "--out", "s")
    code, out, err = call(capsys, *words)
    assert code == 0, err
    assert "With 1 seed no verdict is possible" in err
    assert "2 arms, each with 1 seed: 2 runs, their steps about" in err
    assert "2/2" in err
    assert "momentum" in out
    assert "inconclusive" in out
    assert out.splitlines()[-1] == "study: s"
    code, out, err = call(capsys, "compare", "s", "--json", "--quiet")
    shown = json.loads(out)
    assert (code, shown["study"], shown["failed"]) == (0, "s", [])
    assert {arm["arm"] for arm in shown["arms"]} == {"sgd", "momentum"}
    assert "folder of another study: experiment.steps is 4 there and 5 here" in fails(
        capsys, "compare", "s", "--steps", "5", "--quiet"
    )
    assert "has networks and strategies of its own" in fails(
        capsys, "compare", "s", "--strategy", "adam"
    )
    code, out, err = call(capsys, "compare", "s", "--csv", "--quiet")
    assert (code, err) == (0, "")
    assert out == Path("s/comparison.csv").read_text()
    with np.load(rings) as arrays:
        x, y = arrays["x"], arrays["y"]
    np.savez(rings, x=x[::-1], y=y[::-1])
    assert "the data changed since s was begun" in fails(capsys, "compare", "s", "--quiet")


@pytest.mark.processes
def test_all_runs_of_a_study_begin_from_weights(capsys, rings: str):
    small = ("--set", "network.width=4", "--set", "network.blocks=[1]", "--quiet")
    call(capsys, "train", rings, "--steps", "2", "--out", "base", *small)
    mean = load("base").preprocessing.mean
    with np.load(rings) as arrays:
        np.savez("dark.npz", x=arrays["x"] // 4, y=arrays["y"])
    words = ("dark.npz", "--strategy", "sgd,momentum", "--steps", "4", "--seeds", "1", "--quiet")
    more = ("--batch-size", "32", "--no-report", "--weights", "base", "--freeze", "trunk")
    code, _, err = call(capsys, "compare", *words, *more, "--out", "s")
    assert code == 0, err
    call(capsys, "compare", *words, *more[:3], "--network", "resnet20", *small[:4], "--out", "t")
    words = ("t/study.yaml", "--set", "weights=base", "--quiet", "--no-report", "--out", "u")
    code, _, err = call(capsys, "compare", *words)
    assert code == 0, err
    runs = [experiment_of(path) for name in "su" for path in Path(name, "runs").iterdir()]
    assert len(runs) == 4
    assert {run.preprocessing and run.preprocessing.mean for run in runs} == {mean}
    assert [run.freeze for run in runs] == ["trunk", "trunk", None, None]
    assert [getattr(run.network, "blocks", None) for run in runs] == [(1,)] * 4


@pytest.mark.processes
def test_the_pictures_of_a_study_are_read_as_its_options_say(capsys, pictures: str):
    Path(pictures, "cat", "0.png").write_text("no picture")
    words = (pictures, *TWO, *SETTINGS, "--class-weights", "--size", "8", "--quiet")
    assert "0.png" in fails(capsys, "compare", *words, "--out", "s")
    code, _, err = call(capsys, "compare", *words, "--skip-bad", "--out", "s")
    assert code == 0, err
    more = ("--size", "6x9", "--memory", "0", "--set", "data.shares.test=0.5", "--quiet")
    code, _, err = call(capsys, "compare", "s/study.yaml", *more, "--no-report", "--out", "t")
    assert code == 0, err
    for name, size, share, memory in (("s", (8, 8), 0.2, 4 * 10**9), ("t", (6, 9), 0.5, 0)):
        runs = list(Path(name, "runs").iterdir())
        assert len(runs) == 2
        for run in runs:
            made = experiment_of(run)
            data = vars(made.data)
            assert (made.class_weights, data["skip_bad"], data["size"]) == (True, True, size)
            assert (data["shares"].test, data["memory_bytes"]) == (share, memory)
            assert load(run).preprocessing.size == size
    assert "--size is for folders" in fails(capsys, "compare", "digits", *TWO, "--size", "8")


@pytest.mark.processes
def test_several_labels_a_picture_are_compared(capsys, pictures: str):
    Path(pictures, "cat").rename(Path(pictures, "cat+red"))
    words = (pictures, *TWO, *SETTINGS, "--multi-label", "--size", "6", "--quiet", "--out", "s")
    code, _, err = call(capsys, "compare", *words)
    assert code == 0, err
    run = load(next(Path("s/runs").iterdir()))
    assert (run.card.task, run.classes) == ("multi-label", ("cat", "dog", "red"))


@pytest.mark.processes
def test_an_ablation_tells_the_worth_of_each_part(capsys, rings: str):
    words = ("--network", "resnet20", "--strategy", "nesterov", "--ablate", "--seeds", "2")
    code, out, err = call(
        capsys, "compare", rings, *words, "--steps", "6", *SETTINGS, "--json", "--quiet"
    )
    assert code == 0, err
    shown = json.loads(out)
    scores = {
        (run["arm"], run["seed"]): run["score"]
        for run in json.loads((Path(shown["study"]) / "record.json").read_text())["runs"]
    }
    assert [worth["part"] for worth in shown["ablation"]] == ["schedule", "weight_decay"]
    for worth in shown["ablation"]:
        for kind, pair in (
            ("beside", ("", f" without {worth['part']}")),
            ("alone", (f" only {worth['part']}", " without parts")),
        ):
            ways = [f"nesterov{words}" for words in pair]
            gaps = [scores[ways[0], seed] - scores[ways[1], seed] for seed in range(2)]
            assert worth[kind]["advantage"] == pytest.approx(sum(gaps) / 2)


@pytest.mark.processes
def test_an_arm_that_cannot_be_trained_is_named_before_anything_is(capsys, rings: str):
    Path("ours.py").write_text(
        "from torch import nn\ndef net(classes): return nn.Linear(3, classes)\n"
    )
    told = fails(
        capsys, "compare", rings, "--network", "ours:net,resnet20", "--strategy", "sgd",
        "--steps", "4", "--batch-size", "32", "--quiet", "--out", "s",
    )  # fmt: skip
    assert "the arm net cannot be trained: ours:net does not fit the data" in told
    assert "(Linear) expects 3 features and gets 8" in told
    assert not Path("s").exists()


@pytest.mark.processes
def test_an_arm_that_does_not_fit_in_memory_is_one_sentence(capsys, rings: str):
    Path("vast.py").write_text(
        "import torch\ndef large(classes): return torch.nn.Linear(10**7, 10**9)\n"
    )
    told = fails(
        capsys, "compare", rings, "--network", "vast:large,resnet20", "--strategy", "sgd",
        "--steps", "4", "--batch-size", "32", "--quiet", "--out", "s",
    )  # fmt: skip
    assert "the arm large cannot be trained: there is not enough memory; set a smaller" in told
    assert not Path("s").exists()


def test_a_study_file_that_lacks_something_is_refused(capsys):
    Path("wrong.yaml").write_text("is: skipwise.studies.Study\nnetworks: []\n")
    assert "lacks experiment, strategies of Study" in fails(capsys, "compare", "wrong.yaml")


@pytest.mark.slow
@pytest.mark.processes
def test_values_trials_target_and_margin_stand_in_the_answer(capsys, rings: str):
    words = "--network resnet20 --strategy sgd,momentum --baseline momentum --seeds 1 --steps 12"
    more = "--vary network.width=2,4 --tune 2 --target 0.3 --margin 5 --out s --json --quiet"
    code, out, err = call(capsys, "compare", rings, *words.split(), *more.split(), *SETTINGS)
    assert code == 0, err
    shown = json.loads(out)
    assert (shown["design"]["target"], shown["design"]["margin"]) == (0.3, 0.05)
    arms = [f"{strategy} width={width}" for strategy in ("sgd", "momentum") for width in (2, 4)]
    assert [arm["name"] for arm in shown["design"]["arms"]] == arms
    runs = {run["arm"]: run for run in json.loads(Path("s/record.json").read_text())["runs"]}
    pairs = {(pair["first"], pair["second"]): pair["advantage"] for pair in shown["pairs"]}
    assert pairs == {
        (first, second): pytest.approx(runs[first]["score"] - runs[second]["score"])
        for first, second in (
            ("sgd width=2", "momentum width=2"),
            ("sgd width=4", "momentum width=4"),
            ("sgd width=4", "sgd width=2"),
            ("momentum width=4", "momentum width=2"),
        )
    }
    took = {time["arm"]: time["median"] for time in shown["times"] if time["kind"] == "steps"}
    for name, run in runs.items():
        journal = read_journal(Path("s") / run["path"] / "metrics.jsonl")
        seen = [e for e in journal if isinstance(e, EvaluationRecord) and e.part == "validation"]
        reached = (e.step for e in seen if e.metrics["accuracy"] >= 0.3)
        assert took[name] == next(reached, None)
    tried = json.loads(Path("s/tuning.json").read_text())
    for cost in shown["tuned"]:
        best = max(tried[cost["arm"]]["trials"], key=lambda trial: trial["score"])
        assert (cost["trials"], cost["settings"]) == (2, best["settings"])
