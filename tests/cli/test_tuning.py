"""``skipwise find-rate``: a line that trains, a picture, one sentence for wrong input."""

import json
from pathlib import Path

import pytest

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
