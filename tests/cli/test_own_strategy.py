"""A strategy of the user's own by word: trained with, gone on with, used and compared."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.cli.commands import call, fails

MINE = """
from dataclasses import dataclass, replace

import torch
from skipwise.strategies import Optimiser, momentum

@dataclass(frozen=True, kw_only=True)
class Heavy(Optimiser):
    def build(self, groups, *, rate):
        return torch.optim.SGD(groups, lr=rate, momentum=0.9, fused=True)

def heavy():
    return replace(momentum(), name="heavy", optimiser=Heavy())

def rule():
    return Heavy()

def calmer():
    return replace(momentum(), peak_lr=0.01)

def nothing():
    return None

class Loose(Optimiser):
    def __init__(self):
        self.number = 1
    def build(self, groups, *, rate):
        return torch.optim.SGD(groups, lr=rate)

def loose():
    return Loose()
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavyball.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("mine")
def test_a_rule_of_torch_brought_by_word_trains_as_ours_does(
    rings: str, capsys: pytest.CaptureFixture[str]
):
    for folder, word in (("own", "heavyball:heavy"), ("ours", "momentum")):
        words = ("train", rings, "--strategy", word, "--steps", "9", "--out", folder, "--quiet")
        code, out, err = call(capsys, *words)
        assert code == 0, (out, err)
    own, ours = (load_file(f"{name}/best.safetensors") for name in ("own", "ours"))
    assert all(own[name].equal(ours[name]) for name in ours | own)

    assert "--allow heavyball" in fails(capsys, "resume", "own", "--steps", "12", "--quiet")
    allowed = ("--allow", "heavyball", "--quiet")
    assert call(capsys, "resume", "own", "--steps", "12", *allowed)[0] == 0
    code, out, _ = call(capsys, "evaluate", "own", "--allow", "heavyball", "--json")
    assert code == 0
    assert json.loads(out)["part"] == "test"


@pytest.mark.processes
@pytest.mark.usefixtures("mine")
def test_processes_of_a_study_know_the_rule(rings: str, capsys: pytest.CaptureFixture[str]):
    both = ("--strategy", "momentum,heavyball:heavy", "--steps", "6", "--seeds", "2")
    words = ("compare", rings, *both, "--jobs", "2", "--out", "study", "--quiet")
    code, out, err = call(capsys, *words)
    assert code == 0, (out, err)
    runs = json.loads(Path("study/record.json").read_text())["runs"]
    scores = {(run["arm"], run["seed"]): run["score"] for run in runs}
    assert len(scores) == 4
    assert all(scores["momentum", seed] == scores["heavy", seed] for seed in (0, 1))


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("heavyball:nothing", "must return a Strategy or an Optimiser, it returned NoneType"),
        ("heavyball:heavi", "heavyball has no 'heavi'; did you mean 'heavy'?"),
        ("heavybal:heavy", "'heavybal:heavy' cannot be imported"),
        ("heavyball:zzz", "'zzz'; there are Heavy, Loose, calmer, heavy, loose, nothing, rule"),
        ("heavyball:loose", "holds plain values and frozen dataclasses, not Loose"),
    ],
)
def test_what_is_no_strategy_is_refused(
    rings: str, capsys: pytest.CaptureFixture[str], word: str, told: str
):
    assert told in fails(capsys, "train", rings, "--strategy", word)


@pytest.mark.usefixtures("mine")
def test_a_rule_alone_is_taken_at_a_constant_rate(rings: str, capsys: pytest.CaptureFixture[str]):
    words = ("train", rings, "--strategy", "heavyball:rule", "--steps", "5", "--out", "own")
    assert call(capsys, *words, "--quiet")[0] == 0
    lines = map(json.loads, Path("own/metrics.jsonl").read_text().splitlines())
    assert {line["rate"] for line in lines if line["event"] == "step"} == {0.01}


@pytest.mark.usefixtures("mine")
def test_a_strategy_of_ours_that_was_changed_bears_the_functions_name(
    rings: str, capsys: pytest.CaptureFixture[str]
):
    words = ("train", rings, "--strategy", "heavyball:calmer", "--steps", "2", "--out", "own")
    _, _, err = call(capsys, *words)
    assert " calmer, seed 0" in err
    assert "later commands on it need" not in err  # all of it is ours
    words = ("train", rings, "--strategy", "heavyball:heavy", "--steps", "2", "--out", "other")
    assert "later commands on it need --allow heavyball" in call(capsys, *words)[2]
