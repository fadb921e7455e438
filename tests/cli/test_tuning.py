"""``skipwise find-rate``: a line that trains, a picture, one sentence for wrong input."""

import json
import shlex
from pathlib import Path

import pytest

from skipwise.cli.tuning import next_to_try
from skipwise.data import Digits
from skipwise.experiment import Experiment
from skipwise.networks import resnet20
from skipwise.strategies import nesterov
from skipwise.tuning import NothingFound, Search
from tests.cli.commands import call, fails

TINY = "--set network.width=4 --set network.blocks=[1,1] --batch-size 32".split()
FEW = (*TINY, "--seeds", "1", "--steps", "20", "--quiet")


def test_the_line_that_it_prints_trains_with_the_rate(capsys, rings: str):
    code, out, err = call(capsys, "find-rate", rings, *FEW, "--out", "rate.html")
    assert (code, err) == (0, "")
    *said, picture, line = out.strip().splitlines()
    assert said[0].startswith("The rate is ")
    assert picture == "picture: rate.html"
    assert Path("rate.html").stat().st_size > 1e6
    words = line.removeprefix("train with it: skipwise ").replace("'", "").split()
    code, out, _ = call(capsys, *words, "--steps", "2", "--out", "run", "--quiet", "--no-report")
    assert code == 0
    rate = words[-1].removeprefix("strategy.peak_lr=")
    assert f"peak_lr: {rate}" in Path("run/experiment.yaml").read_text()


def test_json_holds_every_test_and_every_run(capsys, rings: str):
    code, out, _ = call(capsys, "find-rate", rings, *FEW, "--strategy", "adamw", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["low"] < found["rate"] < found["high"]
    assert (found["network"], found["strategy"]) == ("resnet20", "adamw")
    assert len(found["sweeps"][0]["rates"]) == len(found["sweeps"][0]["losses"]) <= 20
    assert {"rate", "seed", "score", "validation"} == set(found["trials"][0])
    assert found["train"].endswith(f"--set strategy.peak_lr={found['rate']:g}")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--low", "1", "--high", "0.1"), "the range of rates from 1 to 0.1 is empty"),
        (("--low", "0"), "the range of rates from 0 to 10 is empty or not positive"),
        (("--steps", "5"), "a range test of 5 steps says nothing; give at least 20"),
        (("--seeds", "0"), "seeds must be positive, got 0"),
        (("--strategy", "adamm"), "there is no strategy 'adamm'; did you mean 'adam'?"),
        (("--out", "nowhere/rate.html"), "nowhere is no folder, so the picture could not be"),
        (("--low", "5", "--steps", "20"), "the loss does not fall at rates from 5 on"),
    ],
)
def test_wrong_input_is_one_sentence(capsys, rings: str, words: tuple[str, ...], told: str):
    assert told in fails(capsys, "find-rate", rings, *TINY, "--quiet", *words)


def test_where_nothing_is_found_the_line_that_is_named_finds_a_rate(capsys, rings: str):
    words = (*TINY, "--quiet", "--low", "5", "--steps", "20", "--seeds", "1")
    told = fails(capsys, "find-rate", rings, *words)
    assert f"no rate was found for resnet20 on {rings} with nesterov: with seed 0" in told
    line = told.strip().partition("; try: skipwise ")[2]
    assert line.startswith(f"find-rate {rings} --batch-size 32 --seeds 1 --steps 20 --low 0.005")
    code, out, _ = call(capsys, *shlex.split(line))
    assert code == 0
    assert out.startswith("The rate is ")


def test_what_is_tried_next_lies_below_what_diverged_or_is_a_diagnosis():
    experiment = Experiment(data=Digits(), network=resnet20(), strategy=nesterov(), epochs=1)
    given = {"--network": "resnet20", "--seeds": 3}

    def told(error: NothingFound) -> str:
        return next_to_try(error, "digits", experiment, Search(), given, ("network.width=4",), ())

    diverged = told(NothingFound("all diverged", high=0.033))
    assert diverged == (
        "no rate was found for resnet20 on digits with nesterov: all diverged; try: skipwise"
        " find-rate digits --network resnet20 --seeds 3 --low 1e-06 --high 0.033 --set"
        " network.width=4"
    )
    assert "--low 1e-09 --high 1e-06" in told(NothingFound("all diverged", high=1e-6))
    assert "--low 1e-09 --high 10" in told(NothingFound("it does not fall", low=1e-9))
    lower = told(NothingFound("it does not fall", low=1e-12))
    assert lower.endswith("so look at both: skipwise diagnose resnet20 --data digits")


def test_a_rule_that_needs_no_rate_is_trained_with_at_once(capsys, rings: str):
    told = fails(capsys, "find-rate", rings, *TINY, "--quiet", "--strategy", "lbfgs")
    assert "LBFGS finds the size of its steps itself" in told
    assert f"as it is: skipwise train {rings} --strategy lbfgs --batch-size 32 --set" in told
