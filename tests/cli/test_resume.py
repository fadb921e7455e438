"""What ``skipwise resume`` may change of a run, and what it must leave."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from skipwise import files
from skipwise.runs import go_on
from skipwise.training import load_checkpoint, save_checkpoint
from tests.cli.commands import SMALL, call, fails
from tests.studies.small import ENVIRONMENT


def test_a_setting_leaves_the_length_that_a_time_was_fitted_to(capsys, rings: str):
    call(capsys, "train", rings, "--time", "2s", "--out", "timed", *SMALL)
    before = load_checkpoint(Path("timed/last.ckpt"))["run"]["step"]
    code, out, err = call(
        capsys, "resume", "timed", "--set", "save_seconds=30", "--quiet", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["step"] == before


def test_less_time_than_was_taken_already_is_refused(capsys, rings: str):
    call(capsys, "train", rings, "--steps", "3", "--out", "run", *SMALL)
    state = load_checkpoint(Path("run/last.ckpt"))
    save_checkpoint(Path("run"), {**state, "seconds": 6.0})
    told = fails(capsys, "resume", "run", "--time", "1s")
    assert "run has taken 6 seconds already, more than the 1 asked for; ask for more" in told
    assert load_checkpoint(Path("run/last.ckpt"))["run"]["step"] == 3


def test_a_setting_leaves_the_length_that_a_target_doubled(capsys, rings: str):
    words = ("--target", "1", "--strategy", "nesterov-triangle", "--set", "data.shares.test=0")
    words += ("--epochs", "2", "--set", "doublings=1")
    call(capsys, "train", rings, *words, "--out", "aimed", *SMALL)
    lines = list(map(json.loads, Path("aimed/metrics.jsonl").read_text().splitlines()))
    steps = max(line["step"] for line in lines)
    assert any("twice as long" in line.get("text", "") for line in lines)
    code, out, err = call(
        capsys, "resume", "aimed", "--set", "strategy.peak_lr=0.01", "--quiet", "--json"
    )
    assert code == 1
    assert "was not reached" in err  # as before, and not: it has taken more steps
    assert json.loads(out)["step"] == steps


def test_a_run_that_stopped_early_goes_on_with_more_patience(capsys, rings: str):
    words = ("--steps", "60", "--patience", "1", "--set", "strategy.peak_lr=1e-9")
    call(capsys, "train", rings, *words, "--out", "early", *SMALL)
    before = load_checkpoint(Path("early/last.ckpt"))["run"]["step"]
    code, out, err = call(capsys, "resume", "early", "--set", "patience=9", "--quiet", "--json")
    assert code == 0, err
    assert before < json.loads(out)["step"] == 60


def test_what_is_judged_on_validation_data_needs_some(capsys, rings: str):
    for words in (("--target", "0.9"), ("--patience", "2")):
        told = fails(capsys, "train", rings, *words, "--set", "data.shares.validation=0", *SMALL)
        assert "are judged by validation data, and there are none" in told


@pytest.mark.processes
def test_a_folder_that_another_process_trains_in_is_refused(
    capsys, rings: str, monkeypatch: pytest.MonkeyPatch
):
    call(capsys, "train", rings, "--steps", "2", "--out", "held", *SMALL)
    monkeypatch.setattr(files, "HOLD_SECONDS", 0.5)
    hold = (
        "import time; from pathlib import Path; from skipwise.runs import go_on\n"
        "session, _ = go_on(Path('held'), steps=9); print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", hold]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        before = {p.name: p.read_bytes() for p in Path("held").iterdir()}
        told = fails(capsys, "resume", "held", "--steps", "5", "--quiet")
        assert "another process trains in held; stop it, or wait until it ends" in told
        assert {p.name: p.read_bytes() for p in Path("held").iterdir()} == before
        other.kill()
    assert call(capsys, "resume", "held", "--steps", "12", "--quiet")[0] == 0


def test_a_guard_may_be_given_to_a_run_that_has_begun(capsys, rings: str):
    call(capsys, "train", rings, "--steps", "2", "--out", "begun", *SMALL)
    words = ("resume", "begun", "--steps", "4", "--set", "strategy.guard=Guard", "--quiet")
    code, _, err = call(capsys, *words)
    assert code == 0, err
    assert "the guard found nothing" in Path("begun/metrics.jsonl").read_text()
    assert "cannot become another kind" in fails(
        capsys, "resume", "begun", "--steps", "5", "--set", "strategy.guard=null", "--quiet"
    )


def test_another_rate_forgets_what_a_guard_lowered(capsys, rings: str):
    words = ("--steps", "4", "--guard", "--set", "strategy.schedule=Constant", "--out", "low")
    call(capsys, "train", rings, *words, *SMALL)
    state = load_checkpoint(Path("low/last.ckpt"))
    state["run"]["rate_scale"], state["run"]["guard"]["returns"] = 0.25**10, 10
    save_checkpoint(Path("low"), state)
    call(capsys, "resume", "low", "--steps", "5", "--quiet")
    call(capsys, "resume", "low", "--steps", "6", "--set", "strategy.peak_lr=0.03", "--quiet")
    lines = map(json.loads, Path("low/metrics.jsonl").read_text().splitlines())
    rates = [line["rate"] for line in lines if line["event"] == "step"]
    assert rates[4:] == [pytest.approx(0.1 * 0.25**10), 0.03]


def test_a_file_that_the_data_lack_is_not_a_run_that_cannot_be_saved(
    capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "gone_data.py").write_text(
        "import torch\n"
        "class Gone:\n"
        "    seen = 0\n"
        "    def __len__(self): return 40\n"
        "    def __getitem__(self, n):\n"
        "        self.seen += 1\n"
        "        if self.seen > 60: open('gone.bin')\n"
        "        return torch.randn(4), n % 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    told = fails(capsys, "train", "gone_data:Gone", "--epochs", "3", "--quiet", "--out", "r")
    assert "cannot be saved" not in told
    assert "gone.bin" in told


@pytest.mark.parametrize("setting", ["layer_decay=0.8", "scalar_rate=0.1"])
def test_settings_that_regroup_parameters_are_refused(capsys, rings: str, setting: str):
    call(capsys, "train", rings, "--steps", "2", "--out", "begun", *SMALL)
    words = ("resume", "begun", "--steps", "4", "--quiet", "--set", f"strategy.{setting}")
    assert "cannot go from or to 1" in fails(capsys, *words)


def test_a_setting_of_a_run_that_is_over_leaves_its_description(capsys, rings: str):
    call(capsys, "train", rings, "--steps", "3", "--out", "over", *SMALL)
    before = Path("over/experiment.yaml").read_text()
    call(capsys, "resume", "over", "--set", "strategy.peak_lr=0.5", "--quiet")
    assert Path("over/experiment.yaml").read_text() == before


def test_a_session_that_its_caller_left_lets_the_folder_go(capsys, rings: str):
    call(capsys, "train", rings, "--steps", "2", "--out", "left", *SMALL)
    events = go_on(Path("left"), steps=9)[0].events()
    next(events)
    assert call(capsys, "resume", "left", "--steps", "4", "--quiet")[0] == 0


@pytest.mark.parametrize("there", [False, True])
def test_a_run_that_is_refused_leaves_no_folder_of_its_own(capsys, rings: str, there: bool):
    if there:
        Path("out").mkdir()
    fails(capsys, "train", rings, "--parts", "1000", "--out", "out", *SMALL)
    assert Path("out").exists() is there
    assert not there or not list(Path("out").iterdir())
