"""What a step keeps for its gradient is known before the first, and held against the memory."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import skipwise
from skipwise.data import Arrays
from skipwise.experiment import build, compose
from skipwise.strategies import sgd
from skipwise.training import check_step_fits, train
from skipwise.training.policies.fitting import kept_of_one
from tests.references import rings_file
from tests.studies.small import NETWORK

SHAPE = (3, 8, 8)


def a_run(folder: Path, **settings):
    rings = Arrays(path=str(rings_file(folder / "rings.npz")))
    chosen = {"steps": 2, "batch_size": 32, "precision": "float32", **settings}
    experiment, dataset = compose(rings, chosen.pop("network", NETWORK), sgd(), **chosen)
    return build(experiment, dataset)[0]


def test_what_one_example_keeps_is_known_by_hand(tmp_path: Path):
    # The picture, what the three norms and the three ReLUs read or give, and what the head reads.
    def numbers(width: int) -> int:
        return 64 * 3 + 64 * width * 6 + width

    assert kept_of_one(a_run(tmp_path), SHAPE) == 4 * numbers(4)
    frozen = a_run(tmp_path, freeze="trunk")
    assert kept_of_one(frozen, SHAPE) == 4 * 4  # the four that the head reads
    wide = a_run(tmp_path, network=replace(NETWORK, width=64), precision="bfloat16")
    assert kept_of_one(wide, SHAPE) == 2 * numbers(64)  # without the copy of the weights


def test_looking_leaves_no_trace(tmp_path: Path):
    looked, other = a_run(tmp_path), a_run(tmp_path)
    numbers = torch.get_rng_state()
    check_step_fits(looked, SHAPE)
    assert torch.equal(torch.get_rng_state(), numbers)
    for run in (looked, other):
        list(train(run))
    for name, value in other.model.state_dict().items():
        assert torch.equal(value, looked.model.state_dict()[name]), name


def test_a_step_that_is_too_large_is_refused_and_in_parts_it_is_not(tmp_path: Path, monkeypatch):
    run = a_run(tmp_path)
    need = 32 * kept_of_one(run, SHAPE)
    held = {"MemAvailable": need // 2, "SwapFree": need // 4, "VmRSS": need // 8}

    def told(path: Path, **_) -> str:
        return "".join(f"{name}: {size // 1024} kB\n" for name, size in held.items())

    monkeypatch.setattr("pathlib.Path.read_text", told)
    with pytest.raises(
        ValueError, match=r"a step needs more than .* --set parts=2 or more"
    ) as error:
        check_step_fits(run, SHAPE)
    (said,) = re.findall(r"more than ([\d.]+) GB", str(error.value))
    assert float(said) == pytest.approx(need / 1e9, abs=0.05)
    run.parts = 2
    check_step_fits(run, SHAPE)
    run.parts = 1
    held["VmRSS"] = need // 3
    check_step_fits(run, SHAPE)
    held = dict.fromkeys(held, 1024)
    run.parts = 16  # parts of two examples, of which a look at four would take more
    check_step_fits(run, SHAPE)


def test_a_run_that_would_be_killed_never_begins(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("skipwise.training.policies.fitting._told", lambda *_: 1000)
    rings = Arrays(path=str(rings_file(tmp_path / "rings.npz")))
    settings = {"steps": 2, "out": "run", "quiet": True, "report": False}
    with pytest.raises(ValueError, match="a step needs more than"):
        skipwise.train(rings, NETWORK, **settings)
    assert not Path("run").exists()
