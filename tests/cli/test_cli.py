"""The commands as a user types them: what they do and what they print."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from inspect import getdoc
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import skipwise
from skipwise.data import Views
from skipwise.description import from_plain
from skipwise.files import free_folder
from skipwise.prediction import load
from skipwise.records import read_journal
from skipwise.runs import go_on
from skipwise.strategies import Strategy, sgd_cosine
from skipwise.training import Step
from tests.cli.commands import SMALL, call, fails


def test_train_evaluate_resume_and_json(capsys, rings: str):
    code, out, _ = call(capsys, "train", rings, "--epochs", "12", "--json", "--out", "run", *SMALL)
    assert code == 0
    trained = json.loads(out)
    assert trained["run"] == "run"
    assert trained["test"]["metrics"]["accuracy"] >= 0.75
    assert {p.name for p in Path("run").iterdir()} >= {
        "experiment.yaml",
        "metrics.jsonl",
        "metrics.csv",
        "last.ckpt",
        "best.safetensors",
        "log.txt",
    }
    code, out, _ = call(capsys, "evaluate", "run", "--json")
    assert json.loads(out).items() >= trained["test"]["metrics"].items()
    assert json.loads(out)["examples"] == 50
    code, out, _ = call(capsys, "resume", "run", "--epochs", "13", "--json", "--quiet")
    assert json.loads(out)["step"] > trained["step"]
    steps = [e.step for e in read_journal(Path("run/metrics.jsonl")) if hasattr(e, "rate")]
    assert steps == list(range(1, json.loads(out)["step"] + 1))


def test_an_experiment_file_repeats_the_run(capsys, rings: str):
    call(capsys, "train", rings, "--steps", "5", "--out", "a", *SMALL)
    call(capsys, "train", "a/experiment.yaml", "--out", "b", "--quiet")
    assert Path("a/experiment.yaml").read_text() == Path("b/experiment.yaml").read_text()
    weights = [Path(run, "best.safetensors").read_bytes() for run in "ab"]
    assert weights[0] == weights[1]


def test_key_equals_value_works_like_options(capsys, rings: str):
    words = "steps=3 network.width=4 strategy=adam out=c --quiet --json".split()
    code, out, _ = call(capsys, "train", rings, *words)
    assert code == 0
    assert (json.loads(out)["strategy"], json.loads(out)["step"]) == ("adam", 3)
    assert "width: 4" in Path("c/experiment.yaml").read_text()


def test_flags_are_set_by_key_equals_value(capsys, rings: str):
    words = "steps=1 quiet=true no_report=true set=network.width=4 set=seed=7".split()
    for value, guard in (("true", "is: skipwise.strategies.Guard"), ("false", "guard: null")):
        code, _, err = call(capsys, "train", rings, *words, f"guard={value}", f"out={value}")
        assert code == 0, err
        text = Path(value, "experiment.yaml").read_text()
        assert guard in text
        assert "seed: 7\n" in text
        assert not Path(value, "report.html").exists()
    assert "guard" in fails(capsys, "train", rings, "guard=perhaps")
    assert "epochs must be positive, got -3" in fails(capsys, "train", rings, "epochs=-3")


def test_runs_are_numbered(capsys, rings: str):
    for _ in range(2):
        call(capsys, "train", rings, "--steps", "1", *SMALL)
    names = ["rings-resnet20-nesterov-1", "rings-resnet20-nesterov-2"]
    assert sorted(p.name for p in Path("runs").iterdir()) == names


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys, rings: str):
    _, out, err = call(capsys, "train", rings, "--steps", "6", "--out", "d", *SMALL[:-1])
    assert (
        "rings: classification, 5 classes, examples 3×8×8, 170 train, 20 validation, 50 test" in err
    )
    assert "step 6 validation: accuracy" in err
    assert "\r" not in err
    assert out.splitlines()[-1] == "run: d"


def test_list_describe_and_doctor(capsys):
    for what, name in (
        ("networks", "resnet20"),
        ("strategies", "momentum"),
        ("connections", "Highway"),
        ("data", "digits"),
    ):
        assert name in json.loads(call(capsys, "list", what, "--json")[1])
    code, out, _ = call(capsys, "describe", "resnet20", "--json")
    assert json.loads(out).items() >= {"parameters": 269_722, "macs": 40_551_040}.items()
    code, out, _ = call(capsys, "describe", "resnet20", "--classes", "100", "--json")
    assert json.loads(out)["parameters"] == 269_722 + 90 * (64 + 1) == 275_572
    code, out, _ = call(
        capsys, "describe", "resnet20", "--input", "1x28x28", "--set", "connection=Plain"
    )
    assert code == 0
    assert "stage 3 (3 blocks)" in out
    found = json.loads(call(capsys, "doctor", "--json")[1])
    assert found["torch"] == torch.__version__.partition("+")[0]


def test_a_strategy_is_shown_with_every_value_that_set_can_change(capsys):
    code, out, _ = call(capsys, "describe", "sgd_cosine", "--set", "strategy.peak_lr=0.3")
    text, _, values = out.partition("\n\nis: skipwise.strategies.Strategy\n")
    assert (code, text) == (0, (getdoc(sgd_cosine) or "").replace("``", ""))
    read = yaml.safe_load(f"is: skipwise.strategies.Strategy\n{values}")
    assert from_plain(read) == replace(sgd_cosine(), peak_lr=0.3)
    assert set(read) == {"is", *(field.name for field in fields(Strategy))}
    found = json.loads(call(capsys, "describe", "sgd-cosine", "--json")[1])
    assert from_plain(found["values"]) == sgd_cosine()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("adm",), "there is no network or strategy 'adm'; did you mean 'adam'?"),
        (("resnet2",), "there is no network or strategy 'resnet2'; did you mean 'resnet20'?"),
        (("plain_resnt50",), "did you mean 'plain_resnet50'?"),
        (("adam", "--classes", "5"), "adam is a strategy; leave --input and --classes out"),
        (("adam", "--set", "strategy.rate=1"), "Strategy has no field 'rate'"),
    ],
)
def test_what_cannot_be_described_is_one_sentence(capsys, words: tuple[str, ...], told: str):
    assert told in fails(capsys, "describe", *words)


def test_plain_before_the_name_of_a_resnet_leaves_its_skips_out(capsys, rings: str):
    words = "--network plain_resnet18 --set network.width=4 --steps 2 --out twin --json".split()
    code, out, err = call(capsys, "train", rings, *words)
    assert (code, json.loads(out)["network"]) == (0, "plain_resnet18"), err
    text = Path("twin/experiment.yaml").read_text()
    assert "name: plain_resnet18" in text
    assert "is: skipwise.connections.Plain\n" in text
    assert call(capsys, "resume", "twin", "--steps", "3", "--quiet")[0] == 0
    described = json.loads(call(capsys, "describe", "plain_wide28_10", "--json")[1])
    projections = 16 * 160 + 160 * 320 + 320 * 640
    assert described["parameters"] == 36_479_194 - projections
    listed = json.loads(call(capsys, "list", "networks", "--json")[1])
    assert listed["plain_resnet50"] == "The network resnet50 without its skips."
    assert not {"plain_plain20", "plain_fixup20", "plain_mlp"} & set(listed)
    assert "plain_… before the name of a ResNet: " in call(capsys, "list", "networks")[1]


def test_a_users_network_and_data_by_name_and_by_file(capsys, tmp_path: Path, monkeypatch):
    (tmp_path / "mine_here.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def net(inputs, classes, width=6):\n"
        "    return nn.Sequential(nn.Linear(inputs[0], width), nn.BatchNorm1d(width), "
        "nn.Dropout(), nn.Linear(width, classes))\n"
        "class Points(torch.utils.data.Dataset):\n"
        "    def __init__(self, examples=80): self.examples = examples\n"
        "    def __len__(self): return self.examples\n"
        "    def __getitem__(self, n): return torch.eye(3)[n % 3] + 0.1 * torch.randn(3), n % 3\n"
    )
    words = "--network mine_here:net --steps 9 --set batch_size=20 --quiet".split()
    words += "--set network.width=8 --out u --json".split()
    code, out, err = call(capsys, "train", "mine_here:Points", *words)
    assert code == 0, err
    assert json.loads(out)["network"] == "net"
    assert "is: mine_here:net\n  width: 8" in Path("u/experiment.yaml").read_text()
    assert "--allow mine_here" in fails(capsys, "resume", "u", "--steps", "12")
    words = "--steps 12 --allow mine_here --json --quiet".split()
    code, out, _ = call(capsys, "resume", "u", *words)
    assert (code, json.loads(out)["step"]) == (0, 12)
    words = "train u/experiment.yaml --out v".split()
    assert "--allow mine_here" in fails(capsys, *words)
    assert call(capsys, *words, "--allow", "mine_here", "--quiet")[0] == 0
    assert call(capsys, "evaluate", "u", "--allow", "mine_here")[0] == 0


def test_regression_from_arrays_reports_the_objective(capsys, tmp_path: Path):
    noise = np.random.default_rng(0)
    x = noise.normal(size=(200, 3)).astype(np.float32)
    line = str(tmp_path / "line.npz")
    np.savez(line, x=x, y=(x @ noise.normal(size=(3, 3))).astype(np.float32))
    words = "--epochs 300 --strategy adam --out line --set strategy.peak_lr=0.05 --json".split()
    code, out, err = call(capsys, "train", line, *words)
    assert code == 0, err
    assert "regression, targets of shape (3,)" in err
    assert json.loads(out)["test"]["metrics"]["r2"] > 0.99
    found = json.loads(call(capsys, "predict", "line", line, "--json")[1])["predictions"]
    numbers = torch.tensor([list(row.values())[1:] for row in found])
    torch.testing.assert_close(numbers, skipwise.load("line").outputs(x), rtol=1e-6, atol=1e-6)
    assert "reads examples of floating point of shape (3,), not picture" in fails(
        capsys, "predict", "line", line, line
    )


def test_runs_that_begin_at_once_get_folders_of_their_own(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: free_folder(tmp_path / "runs", "digits"), range(24)))
    assert len(set(folders)) == 24


def test_augmentations_views_and_class_weights_by_name(capsys, rings: str):
    words = ("--augment", "pad-crop,flip,cutout,cut-mix", "--views", "crops", "--class-weights")
    more = ("--set", "augmentation.cutout.side=2", "strategy.averaging=EMA")
    exact = ("--set", "precision=float32")
    code, _, err = call(capsys, "train", rings, *SMALL, "--steps", "6", *words, *more, *exact)
    assert code == 0, err
    run = next(Path("runs").iterdir())
    written = (run / "experiment.yaml").read_text()
    for text in (
        "skipwise.data.CutMix",
        "side: 2",
        "class_weights: true",
        "shift: 2",
        "decay: 0.998",
    ):
        assert text in written
    assert load(run).views == Views(flip=True, shift=2)
    scores = {}
    for views in ((), ("--views", "none")):
        code, out, err = call(capsys, "evaluate", str(run), "--json", *views)
        assert code == 0, err
        scores[views] = json.loads(out)
    predictor, test = load(run), skipwise.Arrays(path=rings).load().test
    assert test is not None
    raw, labels = test.gather(torch.arange(len(test)))
    x = predictor.preprocessing(raw)
    around = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="reflect")
    with torch.no_grad():
        one, left, right = (
            (predictor.model(view) + predictor.model(view.flip(3))).double() / 2
            for view in (x, around[:, :, :-4, :-4], around[:, :, 4:, 4:])
        )
        plain = predictor.model(x).double()
    for views, outputs in (((), one / 2 + left / 4 + right / 4), (("--views", "none"), plain)):
        loss = torch.nn.functional.cross_entropy(outputs, labels).item()
        assert scores[views]["loss"] == pytest.approx(loss, rel=1e-5)
    assert sum(row["examples"] for row in scores[()]["per_class"].values()) == 50


def test_a_run_longer_than_a_time_holds_at_first_goes_on_by_time(capsys, rings: str, monkeypatch):
    call(capsys, "train", rings, "--steps", "5", "--out", "long", *SMALL)
    monkeypatch.setattr("skipwise.experiment.experiment.UNFITTED_STEPS", 3)
    code, out, err = call(capsys, "resume", "long", "--time", "2s", "--json", "--quiet")
    assert code == 0, err
    assert json.loads(out)["step"] > 5


def test_a_stop_at_once_leaves_the_command_that_goes_on(capsys, rings, monkeypatch, tmp_path: Path):
    (tmp_path / "stopped_net.py").write_text(
        "from torch import nn\n"
        "class Stopped(nn.Linear):\n"
        "    seen = 0\n"
        "    def forward(self, x):\n"
        "        self.seen += 1\n"
        "        if self.seen == 3: raise KeyboardInterrupt\n"
        "        return super().forward(x.flatten(1))\n"
        "def net(inputs, classes):\n"
        "    size = 1\n"
        "    for n in inputs: size *= n\n"
        "    return Stopped(size, classes)\n"
    )
    words = ["--network", "stopped_net:net", "--steps", "9", "--quiet", "--out", "a run"]
    code, _, err = call(capsys, "train", rings, *words)
    assert code == 130
    again = "skipwise resume 'a run' --allow stopped_net"
    assert err == f"skipwise: stopped at once; a run is as last saved; go on with: {again}\n"
    page = Path("a run/report.html").read_text()
    assert "It did not reach its end: stopped at once." in page
    assert f"{again} goes on.".replace("'", "&#39;") in page


def test_brackets_in_a_note_are_shown_as_they_are(capsys, rings: str, monkeypatch):
    call(capsys, "train", rings, "--steps", "1", "--out", "of[/old]", *SMALL)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # rich then shows its bar
    words = "--weights of[/old] --steps 2 --out new".split()
    code, _, err = call(capsys, "train", rings, *words, *SMALL[:-1])
    assert code == 0, err
    assert "of[/old]" in "".join(err.split())  # lines may be broken within a path


def test_python_says_which_save_was_passed_over(capsys, rings: str):
    for steps in ("2", "4"):
        verb, target = ("train", rings) if steps == "2" else ("resume", "cut")
        options = ("--out", "cut", *SMALL) if verb == "train" else ("--quiet",)
        call(capsys, verb, target, "--steps", steps, *options)
    last = Path("cut/last.ckpt")
    last.write_bytes(last.read_bytes()[:100])
    skipwise.resume("cut", steps=6, quiet=True)
    told = capsys.readouterr().err
    assert "last.ckpt" in told
    assert "going on from the save before it" in told


def test_a_run_made_longer_and_killed_before_a_save_is_made_longer_by_the_same_command(
    capsys, rings: str
):
    call(capsys, "train", rings, "--steps", "3", "--out", "longer", *SMALL)
    session, _ = go_on(Path("longer"), steps=8)
    next(e for e in session.events() if isinstance(e, Step) and e.step == 5)  # and no further
    code, out, err = call(capsys, "resume", "longer", "--steps", "8", "--json", "--quiet")
    assert code == 0, err
    assert json.loads(out)["step"] == 8


@pytest.mark.parametrize(
    ("strategy", "setting", "path"),
    [
        ("rmsprop", "optimiser.momentum=0.5", "optimiser.momentum"),
        ("rmsprop", "optimiser.centred=true", "optimiser.centred"),
        ("sam", "optimiser.base=AdamW", "optimiser.base"),
        ("lbfgs", "optimiser.history=3", "optimiser.history"),
        ("sgd", "gradient.0.remembered=5", "gradient.0.remembered"),
    ],
)
def test_a_run_that_has_begun_refuses_numbers_that_its_save_cannot_serve(
    capsys, rings: str, strategy: str, setting: str, path: str
):
    clip = ("--set", "strategy.gradient=AutoClip") if strategy == "sgd" else ()
    words = ("--strategy", strategy, "--steps", "2", "--out", "begun", *clip, *SMALL)
    assert call(capsys, "train", rings, *words)[0] == 0
    before = Path("begun/experiment.yaml").read_text()
    told = fails(capsys, "resume", "begun", "--steps", "4", "--set", f"strategy.{setting}")
    assert f"strategy.{path} of a run that has begun cannot change" in told
    assert Path("begun/experiment.yaml").read_text() == before


def test_a_run_that_has_begun_takes_other_fractions(capsys, rings: str):
    call(capsys, "train", rings, "--strategy", "adam", "--steps", "2", "--out", "begun", *SMALL)
    words = "resume begun --steps 4 --set strategy.optimiser.beta2=0.9 --quiet".split()
    code, _, err = call(capsys, *words)
    assert code == 0, err


def test_a_rate_of_numpys_is_a_number_like_any(rings: str):
    strategy = replace(skipwise.momentum(), peak_lr=np.logspace(-3, 0, 4)[1])
    network = replace(skipwise.resnet20(), width=4, blocks=(1, 1))
    run = skipwise.train(rings, network, strategy, steps=1, out="numpy", quiet=True, report=False)
    assert run.step == 1
    assert "peak_lr: 0.01\n" in Path("numpy/experiment.yaml").read_text()
