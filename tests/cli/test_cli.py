"""The commands as a user types them: what they print, and one sentence for every wrong input."""

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import skipwise
from skipwise.cli import main
from skipwise.experiment import compose
from skipwise.records import read_journal
from skipwise.runs import free_folder
from tests.references import rings_file

SMALL = "--set network.width=4 --set network.blocks=[1,1] --batch-size 32 --quiet".split()


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command and give its exit code, output and error output."""
    try:
        main(words)
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    code, out, err = call(capsys, *words)
    assert code == 2, (out, err)
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1, err
    return err


@pytest.fixture
def rings(tmp_path: Path) -> str:
    return str(rings_file(tmp_path / "rings.npz"))


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    noise = np.random.default_rng(0)
    for name, red in (("cat", 200), ("dog", 20)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for n in range(20):
            picture = noise.integers(0, 50, (12, 12, 3), dtype=np.uint8)
            picture[..., 0] += np.uint8(red)
            Image.fromarray(picture).save(tmp_path / "pets" / name / f"{n}.png")
    return str(tmp_path / "pets")


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


def test_predict_prints_a_table_writes_csv_and_needs_no_training_data(
    capsys, pictures: str, tmp_path: Path
):
    call(capsys, "train", pictures, "--epochs", "15", "--out", "pets-run", *SMALL)
    weights = tmp_path / "moved.safetensors"
    Path("pets-run/best.safetensors").rename(weights)
    code, out, _ = call(
        capsys, "predict", str(weights), f"{pictures}/dog/3.png", f"{pictures}/cat", "--json"
    )
    assert code == 0
    found = json.loads(out)["predictions"]
    assert len(found) == 21
    assert [p["class"] for p in found] == ["dog"] + ["cat"] * 20
    assert all(sum(p["probabilities"].values()) == pytest.approx(1) for p in found)
    call(capsys, "predict", str(weights), f"{pictures}/dog", "--csv", "table.csv")
    rows = list(csv.DictReader(Path("table.csv").read_text().splitlines()))
    assert len(rows) == 20
    assert list(rows[0]) == ["file", "class", "probability", "cat", "dog"]
    assert all(float(r["probability"]) == max(float(r["cat"]), float(r["dog"])) for r in rows)
    _, out, _ = call(capsys, "predict", str(weights), f"{pictures}/dog/3.png")
    assert out.split()[1] == "dog"


def test_predict_names_a_bad_file_or_skips_it(capsys, pictures: str, rings: str):
    call(capsys, "train", pictures, "--steps", "2", "--out", "r", *SMALL)
    Path(pictures, "cat", "bad.png").write_bytes(b"nothing")
    assert "bad.png cannot be read as a picture" in fails(capsys, "predict", "r", pictures)
    code, out, err = call(capsys, "predict", "r", pictures, "--skip-bad", "--json")
    assert code == 0
    assert (len(json.loads(out)["predictions"]), json.loads(out)["skipped"]) == (40, 1)
    assert "skipped:" in err


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
    code, out, _ = call(
        capsys, "describe", "resnet20", "--input", "1x28x28", "--set", "connection=Plain"
    )
    assert code == 0
    assert "stage 3 (3 blocks)" in out
    found = json.loads(call(capsys, "doctor", "--json")[1])
    assert found["torch"] == torch.__version__.partition("+")[0]


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


def test_a_file_that_names_foreign_code_runs_none_of_it(capsys, rings: str, tmp_path: Path):
    call(capsys, "train", rings, "--steps", "1", "--out", "run", *SMALL)
    (tmp_path / "evil.py").write_text("open('was-here', 'w')\ndef net(): pass\n")
    text = Path("run/experiment.yaml").read_text()
    start = text.index("network:")
    end = text.index("strategy:")
    Path("evil.yaml").write_text(text[:start] + "network: {is: 'evil:net'}\n" + text[end:])
    assert "'evil:net' lies outside skipwise and is not imported" in fails(
        capsys, "train", "evil.yaml"
    )
    assert not Path("was-here").exists()
    Path("os.yaml").write_text("is: os:system\ncommand: touch was-here\n")
    assert "lies outside skipwise" in fails(capsys, "train", "os.yaml")
    assert not Path("was-here").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("digts",),
            "there is no data set 'digts', and no folder of that name; did you mean 'digits'?",
        ),
        (("missing/folder",), "missing/folder does not exist"),
        (
            ("digits", "--network", "resnet21"),
            "there is no network 'resnet21'; did you mean 'resnet20'?",
        ),
        (
            ("digits", "--strategy", "momentun"),
            "there is no strategy 'momentun'; did you mean 'momentum'?",
        ),
        (("digits", "--network", "nomodule:net"), "'nomodule:net' cannot be imported"),
        (("digits", "--epochs", "0"), "epochs must be positive, got 0"),
        (("digits", "--epochs", "-3"), "epochs must be positive, got -3"),
        (("digits", "--epochs", "nan"), "epochs must be positive, got nan"),
        (("digits", "--steps", "0"), "steps must be positive, got 0"),
        (("digits", "--steps", "5", "--epochs", "2"), "give one length"),
        (("digits", "--time", "soon"), "'soon' is no time; write 90s, 10m or 1h30m"),
        (("digits", "--epochs", "many"), "epochs"),
        (("digits", "--batch-size", "0"), "batch_size must be positive, got 0"),
        (("digits", "--parts", "200"), "cannot be cut into 200 parts"),
        (("digits", "--patience", "-1"), "patience must not be negative"),
        (
            ("digits", "--set", "strategy.peak_lrr=1"),
            "Strategy has no field 'peak_lrr'; did you mean 'peak_lr'?",
        ),
        (("digits", "--set", "strategy.peak_lr=fast"), "peak_lr must be float, got 'fast'"),
        (("digits", "--set", "strategy.peak_lr=-1"), "peak_lr must be positive, got -1.0"),
        (("digits", "--set", "network.connection=Highwy"), "did you mean 'Highway'?"),
        (("digits", "--set", "peak"), "--set takes path=value"),
        (("digits", "--set", "precision=half"), "precision must be one of auto, float32, bfloat16"),
        (("digits", "--epoch", "3"), "--epoch"),
        (("digits", "--skip-bad"), "--skip-bad is for folders of pictures"),
        ((), "parameter DATA requires an argument"),
    ],
)
def test_wrong_input_to_train_is_one_sentence(capsys, words: tuple[str, ...], told: str):
    assert told in fails(capsys, "train", *words)
    assert not Path("runs").exists()


def test_wrong_yaml_names_file_key_and_nearest(capsys, rings: str):
    call(capsys, "train", rings, "--steps", "1", "--out", "run", *SMALL)
    text = Path("run/experiment.yaml").read_text()
    for name, old, new, told in (
        (
            "key.yaml",
            "peak_lr:",
            "peak_lrr:",
            "key.yaml: strategy.peak_lrr is not a field of Strategy; did you mean 'peak_lr'?",
        ),
        (
            "type.yaml",
            "peak_lr: 0.1",
            "peak_lr: [1]",
            "type.yaml: strategy.peak_lr must be float, got (1,)",
        ),
        (
            "range.yaml",
            "momentum: 0.9",
            "momentum: 9",
            "range.yaml: at strategy.optimiser: momentum must lie in [0, 1), got 9",
        ),
        (
            "name.yaml",
            "strategies.SGD",
            "strategies.SDG",
            "skipwise.strategies has no 'SDG'; did you mean 'SGD'?",
        ),
        ("syntax.yaml", "data:", "data: [", "syntax.yaml is not valid YAML"),
        (
            "top.yaml",
            "is: skipwise.experiment.Experiment\n",
            "",
            "top.yaml does not describe an experiment",
        ),
        ("lack.yaml", "  peak_lr: 0.1\n", "", "lack.yaml: strategy lacks peak_lr of Strategy"),
    ):
        Path(name).write_text(text.replace(old, new, 1))
        assert told in fails(capsys, "train", name)


def test_wrong_runs_and_weights_are_one_sentence(capsys, rings: str):
    assert "nowhere is not a run: it has no experiment.yaml" in fails(capsys, "resume", "nowhere")
    assert "does not exist; a run has weights after its first evaluation" in fails(
        capsys, "predict", "nowhere", "x.png"
    )
    call(capsys, "train", rings, "--steps", "2", "--out", "run", *SMALL)
    assert "is not empty; resume the run in it" in fails(capsys, "train", rings, "--out", "run")
    assert "x.png does not exist" in fails(capsys, "predict", "run", "x.png")
    assert "there is no list of 'nets'; did you mean 'networks'?" in fails(capsys, "list", "nets")
    assert "outputs (5,), digits is classification with outputs (10,)" in fails(
        capsys, "evaluate", "run", "digits"
    )
    assert "part must be train, validation or test" in fails(
        capsys, "evaluate", "run", "--part", "tests"
    )
    save_file({"w": torch.zeros(2)}, "foreign.safetensors")
    assert "not the card that Skipwise writes" in fails(
        capsys, "evaluate", "foreign.safetensors", rings
    )
    Path("cut.safetensors").write_bytes(Path("run/best.safetensors").read_bytes()[:3000])
    assert "cut.safetensors cannot be read as weights" in fails(
        capsys, "evaluate", "cut.safetensors", rings
    )
    for name in ("last.ckpt", "before.ckpt"):
        if Path("run", name).exists():
            Path("run", name).write_bytes(b"foreign")
    assert "no checkpoint to go on from" in fails(capsys, "resume", "run", "--steps", "9")


def test_a_truncated_checkpoint_is_refused_in_a_sentence_and_the_one_before_is_used(
    capsys, rings: str
):
    call(capsys, "train", rings, "--epochs", "3", "--out", "run", *SMALL)
    last = Path("run/last.ckpt")
    last.write_bytes(last.read_bytes()[:1000])
    code, out, err = call(capsys, "resume", "run", "--epochs", "4", "--json", "--quiet")
    assert code == 0
    assert "last.ckpt is cut short or damaged; going on from the save before it" in err
    steps = [e.step for e in read_journal(Path("run/metrics.jsonl")) if hasattr(e, "rate")]
    assert steps == list(range(1, json.loads(out)["step"] + 1))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_save(capsys, rings: str):
    words = "--set strategy.schedule=Constant --set strategy.weight_decay=0 --epochs 9".split()
    words += "--set strategy.peak_lr=1e38".split()
    call(capsys, "train", rings, "--epochs", "1", "--out", "run", *SMALL)
    told = fails(capsys, "train", rings, "--out", "bad", *SMALL, *words)
    assert "training diverged; lower strategy.peak_lr" in told
    assert " at step " in told
    before = Path("run/last.ckpt").read_bytes()
    text = Path("run/experiment.yaml").read_text().replace("peak_lr: 0.1", "peak_lr: 1.0e+38")
    Path("run/experiment.yaml").write_text(text)
    assert "the last good save is in run" in fails(
        capsys, "resume", "run", "--epochs", "9", "--quiet"
    )
    assert Path("run/last.ckpt").read_bytes() == before


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
    assert "reads examples of shape (3,), not picture" in fails(
        capsys, "predict", "line", line, line
    )


def test_a_folder_of_other_sizes_is_evaluated_whole_at_the_networks_size(capsys, pictures: str):
    call(capsys, "train", pictures, "--epochs", "15", "--out", "pets-run", *SMALL)
    for path in Path(pictures).rglob("*.png"):
        Image.open(path).resize((30, 40)).save(path)
    code, out, err = call(capsys, "evaluate", "pets-run", pictures, "--json")
    assert code == 0, err
    assert json.loads(out).items() >= {"examples": 40, "part": "train", "accuracy": 1.0}.items()


def test_a_fault_in_a_users_code_is_a_sentence_that_says_how_to_see_more(capsys, monkeypatch):
    Path("faulty_here.py").write_text(
        "from torch import nn\ndef net(classes): return nn.Linear(3, classes)\n"
    )
    told = fails(capsys, "train", "digits", "--network", "faulty_here:net", "--quiet")
    assert told.startswith("skipwise: RuntimeError: mat1 and mat2 shapes cannot be multiplied")
    assert "set SKIPWISE_TRACEBACK=1 to see where it comes from" in told
    monkeypatch.setenv("SKIPWISE_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        main(["train", "digits", "--network", "faulty_here:net", "--quiet"])


def test_runs_that_begin_at_once_get_folders_of_their_own(tmp_path: Path):
    experiment = compose("digits", epochs=1)[0]
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: free_folder(tmp_path / "runs", experiment), range(24)))
    assert len(set(folders)) == 24


def test_what_never_began_leaves_no_folder(capsys, rings: str):
    told = fails(capsys, "train", rings, "--network", "residual_linear", "--steps", "1")
    assert "must have the input's shape" in told
    assert not Path("runs").exists()
