"""One sentence for every wrong input, exit code 2, and nothing lost."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from skipwise.cli import main
from skipwise.records import read_journal
from skipwise.training import load_checkpoint
from tests.cli.commands import SMALL, call, fails


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
            ("digits", "--network", "plain_resnet51"),
            "there is no network 'plain_resnet51'; did you mean 'plain_resnet50'?",
        ),
        (
            ("digits", "--network", "plain_fixup20"),
            "plain_fixup20 has branches that start at zero, and without the skip neither signal",
        ),
        (("digits", "--network", "plain_plain20"), "plain20 is plain already"),
        (("digits", "--network", "plain_mlp"), "mlp is no ResNet, and only these have a plain"),
        (("digits", "--network", "vit"), "there is no network 'vit'; there are fixup110, fixup20,"),
        (
            ("digits", "--network", "resnet18", "--set", "network.stem=LargeStem"),
            "the shorter side of the input is 8, but resnet18 needs at least 32, since its strides"
            " divide the resolution by 32; take larger inputs, of picture files by --size 32, or"
            " set network.stem=SmallStem,",
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
        (("digits", "--epochs", "many"), 'Invalid value for --epochs: unable to convert "many"'),
        (("digits", "--steps", "1.5"), "'1.5' is no whole number"),
        (("digits", "--time", "-5m"), "a time must be positive, got '-5m'"),
        (
            ("digits", "--augment", "flipp"),
            "there is no augmentation 'flipp'; did you mean 'flip'?",
        ),
        (("digits", "--augment", "mixup,flip"), "what mixes examples comes after every other"),
        (("digits", "--augment", "flip", "--set", "augmentation.crop.padding=1"), "'crop'"),
        (("digits", "--views", "mirror"), "there are no views 'mirror'"),
        (("digits", "--augment", "flip,flip"), "Flip stands twice in the augmentation"),
        (("digits", "--freeze", "2"), "freeze keeps parts of what a file of weights gives"),
        (("digits", "--set", "freeze=trunk"), "freeze keeps parts of what a file of weights"),
        (("digits", "augmentation.flip.vertical=true"), "chosen by the data, so name it first"),
        (("digits", "--set", "strategy.averaging=EMO"), "did you mean 'EMA'?"),
        (
            ("digits", "strategy.averaging.decay=0.9"),
            "name it first, strategy.averaging=EMA for",
        ),
        (
            ("digits", "strategy.guard.facto=0.5"),
            "guard is none; name it first, strategy.guard=Guard",
        ),
        (
            ("digits", "--network", "skipwise:resnet200"),
            "no network 'resnet200'; did you mean",
        ),
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
        (
            ("digits", "--augmentation", "flip"),
            "option: --augmentation. Did you mean --augment",
        ),
        (("digits", "precision=float32"), "but a field: --set precision=…"),
        (("digits", "connection=Highway"), "but a field: --set network.connection=…"),
        (("digits", "--peak-lr", "0.1"), "but a field: --set strategy.peak_lr=…"),
        (("digits", "--epoch", "3"), "Unknown option: --epoch. Did you mean --epochs?"),
        (("digits", "--skip-bad"), "--skip-bad is for folders of pictures and tables"),
        (("digits", "--memory", "1g"), "--memory is for folders of pictures and tables of them"),
        (("digits", "--memory", "much"), "'much' is no amount of memory; write 4g or 500m"),
        (("digits", "--size", "0x3"), "'0x3' is no size of pictures; write 64, or 48x64"),
        (
            ("digits", "--watch", "gradint"),
            "there is no monitor 'gradint'; did you mean 'gradients'?",
        ),
        (
            ("digits", "--watch", "units:every=0"),
            "every must be a whole number of at least 1, got '0'",
        ),
        (("digits", "--watch", "units:top"), "units has no option 'top'"),
        (
            ("digits", "--network", "tests.cli.commands:flat", "--watch", "gradients"),
            "this network has no blocks that repeat; leave it out, or build the network of",
        ),
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
    for wrong, told in (
        (text[:300].encode() + bytes(9), "experiment.yaml is not valid YAML: "),
        (b"", "experiment.yaml does not describe an experiment; its top must say is: skipwise"),
        (b"\xff\xfe", "experiment.yaml is no text in UTF-8"),
    ):
        Path("run/experiment.yaml").write_bytes(wrong)
        said = fails(capsys, "resume", "run", "--steps", "9")
        assert told in said
        assert said.endswith("; mend it, or give back a copy\n")


def test_wrong_runs_and_weights_are_one_sentence(capsys, rings: str):
    assert "nowhere is not a run: it has no experiment.yaml" in fails(capsys, "resume", "nowhere")
    Path("begun").mkdir()
    Path("begun/experiment.yaml").touch()
    for command, stray, told in (
        ("predict", "begun", "does not exist; a run has weights after its first evaluation"),
        ("predict", ".", ". is neither a run's folder nor a file of weights; runs lie below runs/"),
        ("evaluate", "digits", "digits is neither a run's folder nor a file of weights"),
    ):
        assert told in fails(capsys, command, stray, "begun")
    call(capsys, "train", rings, "--steps", "2", "--out", "run", *SMALL)
    assert "is not empty; resume the run in it" in fails(capsys, "train", rings, "--out", "run")
    Path("killed").mkdir()
    for left in (".lock", ".job"):  # of a run that was killed before it began
        Path("killed", left).write_text("")
    call(capsys, "train", rings, "--steps", "2", "--out", "killed", *SMALL)
    saved = Path("run/last.ckpt").read_bytes()
    told = "last.ckpt is no name for a table, which is a file .csv; name another file"
    assert told in fails(capsys, "evaluate", "run", "--csv", "run/last.ckpt")
    assert told in fails(capsys, "predict", "run", rings, "--csv", "run/last.ckpt")
    for own in ("run/log.txt", "run/metrics.csv"):
        told = fails(capsys, "evaluate", "run", "--csv", own)
        assert f"{own} is the run's own; name another file" in told
    call(capsys, "evaluate", "run", "--csv", "metrics.csv")
    assert Path("run/last.ckpt").read_bytes() == saved
    assert "x.png does not exist" in fails(capsys, "predict", "run", "x.png")
    assert "there is no list of 'nets'; did you mean 'networks'?" in fails(capsys, "list", "nets")
    assert "outputs (5,), digits is classification with outputs (10,)" in fails(
        capsys, "evaluate", "run", "digits"
    )
    assert "part must be train, validation or test" in fails(
        capsys, "evaluate", "run", "--part", "tests"
    )
    save_file({"w": torch.zeros(2)}, "foreign.safetensors")
    assert "'w' of shape (2,) for example, are those of no network that Skipwise knows" in fails(
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
    before = load_checkpoint(Path("run/last.ckpt"))["run"]
    text = Path("run/experiment.yaml").read_text().replace("peak_lr: 0.1", "peak_lr: 1.0e+38")
    Path("run/experiment.yaml").write_text(text)
    assert "the last good save is in run" in fails(
        capsys, "resume", "run", "--epochs", "9", "--quiet"
    )
    kept = load_checkpoint(Path("run/last.ckpt"))["run"]
    assert kept["step"] == before["step"]
    assert all(torch.equal(kept["model"][name], w) for name, w in before["model"].items())


def test_a_fault_in_a_users_code_is_a_sentence_that_says_how_to_see_more(capsys, monkeypatch):
    Path("faulty_here.py").write_text(
        "from torch import nn\nclass net(nn.Linear):\n"
        "    def __init__(self): super().__init__(8, 8)\n"
        "    def forward(self, x): return super().forward(x).flatten(1) @ self.weight\n"
    )
    told = fails(capsys, "train", "digits", "--network", "faulty_here:net", "--quiet")
    assert told.startswith("skipwise: RuntimeError: ")
    assert "faulty_here.py, line 4); set SKIPWISE_TRACEBACK=1 to see where it comes from" in told
    monkeypatch.setenv("SKIPWISE_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        main(["train", "digits", "--network", "faulty_here:net", "--quiet"])


@pytest.mark.parametrize(
    "words",
    [
        ("train", "digits", "--quiet", "--network", "narrow_here:net"),
        ("diagnose", "narrow_here:net", "--quiet", "--data", "digits"),
        ("find-rate", "digits", "--quiet", "--network", "narrow_here:net"),
    ],
)
def test_a_network_for_other_data_is_refused_by_layer(capsys, words: tuple[str, ...]):
    Path("narrow_here.py").write_text(
        "from torch import nn\n"
        "def net(classes): return nn.Sequential(nn.Conv2d(3, classes, 8), nn.Flatten())\n"
    )
    assert (
        "narrow_here:net does not fit the data, whose examples have shape (1, 8, 8): layer '0'"
        " (Conv2d) expects 3 channels and gets 1; give data that fit, or build that layer for"
        " these: narrow_here:net is offered inputs=(1, 8, 8), outputs=(10,), channels=1, classes=10"
    ) in fails(capsys, *words)


def test_damaged_best_weights_and_arrays_of_another_shape_say_what_to_do(capsys, rings: str):
    call(capsys, "train", rings, "--steps", "2", "--out", "run", *SMALL)
    np.savez("large.npz", x=np.zeros((6, 40, 40), np.uint8))
    assert "arrays are taken as they are, only picture files are resized: bring" in fails(
        capsys, "predict", "run", "large.npz"
    )
    best = Path("run/best.safetensors")
    best.write_bytes(best.read_bytes()[:300])
    assert "train it again: skipwise train run/experiment.yaml" in fails(capsys, "evaluate", "run")


def test_a_fault_in_a_users_code_names_the_line(capsys):
    lines = [
        "from torch import nn",
        "class Net(nn.Module):",
        "    def __init__(self, classes):",
        "        super().__init__()",
        "        self.map = nn.Linear(64, classes)",
        "    def forward(self, x):",
        "        raise ValueError('these are no tokens')",
    ]
    Path("tokens_here.py").write_text("\n".join(lines))
    told = fails(capsys, "train", "digits", "--network", "tokens_here:Net", "--quiet")
    assert "these are no tokens" in told
    assert "tokens_here.py, line 7)" in told
    assert "line" not in fails(capsys, "train", "digts")


def test_a_run_that_has_begun_keeps_its_data_and_network(capsys, rings: str):
    call(capsys, "train", rings, *SMALL, "--steps", "2", "--out", "run")
    for setting in ("data.shares.test=0.1", "network.width=8", "seed=3"):
        err = fails(capsys, "resume", "run", "--set", setting, "--steps", "4")
        assert "would make it another run, so train anew with it" in err
    for setting in ("strategy.optimiser=Adam", "strategy.averaging=EMA"):
        err = fails(capsys, "resume", "run", "--set", setting, "--steps", "4")
        assert "cannot become another kind" in err
    assert call(capsys, "resume", "run", "--steps", "4", "strategy.peak_lr=0.01", "--quiet")[0] == 0


def test_what_never_began_leaves_no_folder(capsys, rings: str):
    told = fails(capsys, "train", rings, "--network", "residual_linear", "--steps", "1")
    assert "must have the input's shape" in told
    assert not Path("runs").exists()
