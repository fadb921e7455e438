"""A rate taken over to a deeper network, from the command line: what holds, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import skipwise
from skipwise.tuning import Check
from tests.cli.commands import call, fails

SHALLOW = "--set network.width=4 --set network.blocks=[1,1] --batch-size 32 --quiet".split()
DEEP = "--set network.width=4 --set network.blocks=[2,2] --batch-size 32 --quiet".split()
FEW = "--seeds 2 --steps 6 --reach 2 --quiet".split()


def begun(capsys: pytest.CaptureFixture[str], data: str, *words: str) -> str:
    """Train a shallow network for two steps, and give the run's folder."""
    more = ("--steps", "2", "--no-report", "--out", "shallow")
    code, _, err = call(capsys, "train", data, "--network", "resnet20", *SHALLOW, *more, *words)
    assert code == 0, err
    return "shallow"


def described(folder: str) -> dict:
    return yaml.safe_load(Path(folder, "experiment.yaml").read_text())


def test_a_guard_is_one_word(capsys, rings: str):
    words = ("train", rings, *SHALLOW, "--network", "resnet20", "--steps", "1", "--no-report")
    assert call(capsys, *words, "--out", "a", "--guard")[0] == 0
    assert described("a")["strategy"]["guard"]["is"] == "skipwise.strategies.Guard"
    patient = ("--guard", "--set", "strategy.guard.patience=3")
    assert call(capsys, *words, "--out", "b", *patient)[0] == 0
    assert described("b")["strategy"]["guard"]["patience"] == 3
    again = ("train", "b/experiment.yaml", "--guard", "--quiet", "--no-report", "--out", "c")
    assert call(capsys, *again)[0] == 0
    assert described("c")["strategy"]["guard"]["patience"] == 3  # one that is there stays
    assert call(capsys, *words, "--out", "d")[0] == 0
    assert described("d")["strategy"]["guard"] is None
    told = fails(capsys, *words, "--guard", "--strategy", "lbfgs")
    assert "LBFGS asks for the gradient while it moves the weights, so a guard cannot" in told


def test_what_is_not_shown_to_hold_ends_with_code_1_and_a_rate(capsys, rings: str):
    run = begun(capsys, rings)
    words = ("transfer", run, *FEW, "--set", "network.blocks=[2,2]")
    code, out, err = call(capsys, *words)
    assert (code, err) == (1, "")
    last = out.strip().splitlines()[-1]
    assert last.startswith("not transferable from 2 to 4 blocks: ")
    assert "suggests --set strategy.peak_lr=" in last
    code, out, _ = call(capsys, *words, "--json")
    found = json.loads(out)
    assert (code, found["holds"], found["depths"]) == (1, False, [2, 4])
    assert found["suggested"]["low"] < found["suggested"]["rate"] < found["suggested"]["high"]


class Ramps:
    """A data set made in Python: two kinds of rows, which rise or fall."""

    def __len__(self) -> int:
        return 80

    def __getitem__(self, n: int) -> tuple[np.ndarray, int]:
        rising = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 8, 8) + n / 100
        return rising if n % 2 else -rising, n % 2


def test_python_gives_what_the_command_prints_and_refuses_what_it_refuses(capsys, rings: str):
    run = begun(capsys, rings)
    code, out, _ = call(capsys, "transfer", run, *FEW, "--set", "network.blocks=[2,2]")
    deep = replace(skipwise.resnet20(), width=4, blocks=(2, 2))
    few = Check(seeds=2, steps=6, reach=2)
    found = skipwise.transfer(run, deep, check=few)
    assert (f"{found}\n", found.holds) == (out, code == 0)
    parts = skipwise.transfer(run, deep, seeds=2, steps=6, reach=2)
    assert parts == replace(found, seconds=parts.seconds)
    for settings, told in (
        ({"strategy.weight_decay": 0.1}, "that of shallow, .* leave strategy.weight_decay=0.1 out"),
        ({"freeze": 1}, "on new weights which all learn; leave freeze=1 out"),
        ({"epochs": 3}, "have a length and seeds of their own, .*; leave epochs=3 out"),
        ({"network.width": 8}, "not of one family, they differ in width"),
        ({"network.block": [2, 2]}, "ResNet has no field 'block'; did you mean 'blocks'"),
        ({}, "has 2 blocks and this one 2; a rate is taken over to a deeper network"),
    ):
        with pytest.raises(ValueError, match=told):
            skipwise.transfer(run, set=settings)
    with pytest.raises(ValueError, match=r"nowhere is not a run: it has no experiment.yaml"):
        skipwise.transfer("nowhere", deep)
    with pytest.raises(TypeError, match=r"skipwise.resnet20\(\) for example.*; got str"):
        skipwise.transfer(run, "resnet56")


def test_a_record_and_data_made_in_python_are_taken(tmp_path: Path):
    network = replace(skipwise.resnet20(), width=4, blocks=(1, 1))
    how = {"batch_size": 32, "steps": 2, "quiet": True, "report": False}
    record = skipwise.train(Ramps(), network, **how)
    few = Check(seeds=2, steps=5, rates=3, reach=2)
    with pytest.raises(ValueError, match="these data were made in Python"):
        skipwise.transfer(record, set={"network.blocks": [2, 2]}, check=few)
    told: list[str] = []
    found = skipwise.transfer(
        record, set={"network.blocks": [2, 2]}, check=few, data=Ramps(), tell=told.append
    )
    assert (found.depths, sorted(found.losses)) == ((2, 4), [2, 4])
    assert told[0].startswith("before the run, ")


@pytest.mark.parametrize("word", ["strategy.weight_decay=0.1", "weights=other", "freeze=1"])
def test_a_setting_that_the_measurement_would_not_see_is_refused(capsys, rings: str, word: str):
    words = ("transfer", begun(capsys, rings), *FEW, "--set", "network.blocks=[2,2]")
    told = fails(capsys, *words, "--set", word)
    assert f"that of shallow, on new weights which all learn; leave {word} out" in told
    told = fails(capsys, *words, "--set", "epochs=3")
    assert "have a length and seeds of their own, --steps and --seeds; leave epochs=3 out" in told


def trained_on_lines(capsys, folder: Path, network: str) -> tuple[int, str, str]:
    """Train a linear network whose best rate over depth is known, and a deep one with its rate."""
    noise = np.random.default_rng(0)
    x = noise.normal(size=(64, 4)).astype(np.float32)
    y = (x @ noise.normal(size=(4, 3)) + 0.3 * noise.normal(size=(64, 3))).astype(np.float32)
    np.savez(folder / "line.npz", x=x, y=y, x_val=x, y_val=y)
    words = ["train", str(folder / "line.npz"), "--batch-size", "64", "--steps", "2"]
    words += ["--network", f"tests.tuning.test_transfer:{network}", "--no-report"]
    plain = ("schedule=Constant", "weight_decay=0", "peak_lr=0.05")
    tuned = [word for setting in plain for word in ("--set", f"strategy.{setting}")]
    shallow = ("--set", "network.blocks=1", "--strategy", "sgd", *tuned, "--out", "shallow")
    assert call(capsys, *words, *shallow)[0] == 0
    deep = ("--set", "network.blocks=16", "--transfer-from", "shallow", "--guard", "--out", "deep")
    return call(capsys, *words, *deep, "--allow", "tests")


@pytest.mark.slow
def test_train_refuses_what_is_not_shown_to_hold_and_writes_no_run(capsys, tmp_path: Path):
    code, out, err = trained_on_lines(capsys, tmp_path, "as_the_depth")
    assert (code, out) == (1, "")
    assert "skipwise: not transferable from 1 to 16 blocks: " in err
    assert not Path("deep").exists()


@pytest.mark.slow
def test_train_takes_over_a_rate_that_holds(capsys, tmp_path: Path):
    code, _, err = trained_on_lines(capsys, tmp_path, "whatever_the_depth")
    assert code == 0, err
    assert "the rate of 1 blocks holds for 16: the slope" in err
    taken, given = described("deep")["strategy"], described("shallow")["strategy"]
    assert taken.pop("guard")["is"] == "skipwise.strategies.Guard"  # what was asked for stays
    assert taken == {name: value for name, value in given.items() if name != "guard"}
    assert Path("deep", "last.ckpt").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--strategy", "adam"), "--transfer-from takes the strategy of shallow; leave --strategy"),
        (("--recipe", "cifar10"), "leave --recipe out"),
        (("--set", "strategy.peak_lr=1"), "leave strategy.peak_lr=1 out"),
        (("--set", "network.width=8"), "not of one family, they differ in width"),
        (("--set", "network.blocks=[1,1]"), "has 2 blocks and this one 2; a rate is taken over"),
    ],
)
def test_what_cannot_be_transferred_is_one_sentence(capsys, rings: str, words, told: str):
    run = begun(capsys, rings)
    deep = ("train", rings, "--network", "resnet20", *DEEP, "--transfer-from", run)
    assert told in fails(capsys, *deep, *words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--out", "shallow"), "shallow is not empty; resume the run in it"),
        (("--watch", "gradient"), "there is no monitor 'gradient'; did you mean 'gradients'?"),
        (("--patience", "2"), "target and patience are judged by validation data"),
        (("--target", "0.9"), "target and patience are judged by validation data"),
    ],
)
def test_what_would_be_refused_after_the_measurement_is_refused_before_it(
    capsys, rings: str, words, told: str, monkeypatch: pytest.MonkeyPatch
):
    begun(capsys, rings)
    monkeypatch.setattr("skipwise.cli.tuning.check_transfer", lambda *_, **__: 1 / 0)
    none = ("--set", "data.shares.validation=0")
    deep = ("train", rings, "--network", "resnet20", *DEEP, "--transfer-from", "shallow", *none)
    assert told in fails(capsys, *deep, *words)
