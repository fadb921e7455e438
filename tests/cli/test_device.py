"""The environment chooses the device of every command."""

from pathlib import Path

import pytest

from skipwise.reports import read_run
from skipwise.training import DEVICE
from tests.cli.commands import SMALL, call, fails


def test_a_run_names_the_device_that_was_chosen(
    capsys, rings: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(DEVICE, "cpu")
    words = [word for word in SMALL if word != "--quiet"]
    code, _, told = call(capsys, "train", rings, "--steps", "1", "--out", "run", *words)
    assert code == 0
    assert " on cpu\n" in told
    assert read_run(Path("run")).facts["device"] == "cpu"


def test_every_command_refuses_a_device_that_is_not_here(
    capsys, rings: str, monkeypatch: pytest.MonkeyPatch
):
    call(capsys, "train", rings, "--steps", "1", "--out", "run", *SMALL)
    monkeypatch.setenv(DEVICE, "cuda:1")
    told = "SKIPWISE_DEVICE=cuda:1 names no device that Skipwise can compute on here; there is cpu"
    for words in (
        ("train", rings, "--steps", "1", "--out", "other", *SMALL),
        ("resume", "run", "--steps", "2"),
        ("evaluate", "run"),
        ("predict", "run", rings),
        ("compare", rings, "--strategy", "sgd,adam", "--seeds", "6", "--steps", "1"),
        ("doctor",),
    ):
        assert told in fails(capsys, *words)
    assert not Path("other").exists()
    assert not Path("studies").exists()


def test_the_help_names_the_variable(capsys):
    assert "SKIPWISE_DEVICE=cpu" in call(capsys, "--help")[1]
