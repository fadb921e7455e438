"""``skipwise diagnose`` as a user types it: what it prints, and its exit codes."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import SMALL, call, fails


def test_a_run_is_diagnosed_worst_first_with_what_passed_in_one_line(capsys, rings: str):
    call(capsys, "train", rings, "--steps", "6", "--out", "run", *SMALL)
    code, out, err = call(capsys, "diagnose", "run")
    lines = out.splitlines()
    assert lines[0].startswith("run: resnet20 on rings")
    levels = [line.split()[0] for line in lines if line[:1].isupper()]
    order = ["FAIL", "WARN", "INFO", "UNKNOWN", "PASS"]
    assert levels == sorted(levels, key=order.index)
    assert code == int(levels[0] == "FAIL")
    assert levels.count("PASS") == 1
    assert lines[-1].startswith("page: run/diagnosis.")
    assert "measuring: signal" in err


def test_the_exit_code_is_1_if_a_rule_accuses_and_json_says_all(capsys, rings: str):
    words = "strategy.peak_lr=1e30 strategy=sgd".split()
    code, _, _ = call(capsys, "train", rings, "--steps", "6", "--out", "run", *SMALL, *words)
    assert code == 2
    code, out, err = call(capsys, "diagnose", "run", "--json")
    assert (code, err) == (1, "")
    found = json.loads(out)
    assert found["verdicts"][0]["level"] == "FAIL"
    assert found["headline"].startswith("Fault found: ")
    assert Path(found["page"]).is_file()


def test_a_network_by_its_name(capsys, rings: str):
    words = ("diagnose", "resnet8_w32", "--data", rings, "--quiet", "--strategy", "adam")
    code, out, _ = call(capsys, *words, "--out", "there")
    assert code == 0
    assert out.startswith("resnet8_w32 on rings, before training: ")
    assert json.loads(Path("there/diagnosis.json").read_text())["facts"]["strategy"] == "adam"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("resnet20",), "say what data the network is for: skipwise diagnose resnet20 --data"),
        (
            ("resnet21", "--data", "digits"),
            "there is no network 'resnet21'; did you mean",
        ),
        (("folder",), "folder is not a run: it has no experiment.yaml"),
        (
            ("folder", "--data", "digits"),
            "folder is a folder, and a run says that itself",
        ),
        (
            ("runs/missing",),
            "runs/missing does not exist and is no run's folder; runs lie below runs/",
        ),
        (("resnet20", "--data", "digts"), "there is no data set 'digts'"),
        (("resnet20", "--data", "digits", "--strategy", "adm"), "there is no strategy 'adm'"),
        (("math:pi", "--data", "digits"), "math:pi is a float, not a function; name one"),
        (
            ("resnet20", "--data", "digits", "--out", "notes.txt"),
            "notes.txt is no folder, so the diagnosis could not be written to notes.txt; name anot",
        ),
        (
            ("resnet20", "--data", "digits", "--out", "notes.txt/there"),
            "notes.txt is no folder, so the diagnosis could not be written to notes.txt/there; n",
        ),
        (
            ("resnet20", "--data", "digits", "--sites", "trunk.blocks"),
            "computes none of the blocks trunk.blocks; name the modules",
        ),
    ],
)
def test_wrong_input_is_one_sentence(capsys, words: tuple[str, ...], told: str):
    Path("folder").mkdir()
    Path("notes.txt").touch()
    assert told in fails(capsys, "diagnose", *words)
