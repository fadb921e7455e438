"""``skipwise explain``: sentences, a page, all numbers, and one sentence for wrong input."""

import json
from pathlib import Path

from tests.cli.commands import call, fails

SHORT = ("--seconds", "1.5")


def test_it_says_what_it_saw_and_leaves_a_page(capsys, rings: str):
    code, out, err = call(capsys, "explain", "depth", "--data", rings, *SHORT, "--quiet")
    assert (code, err) == (0, "")
    *said, page = out.strip().splitlines()
    assert page == "page: depth.html"
    assert Path("depth.html").stat().st_size > 1e6
    assert any("left out" in sentence for sentence in said)


def test_json_holds_sentences_numbers_and_the_command(capsys, rings: str):
    words = (
        "explain",
        "depth",
        "--data",
        rings,
        *SHORT,
        "--seed",
        "3",
        "--out",
        "p.html",
        "--json",
    )
    code, out, err = call(capsys, *words)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["page"] == "p.html"
    assert found["setting"]["starts"][0] == 3
    assert found["setting"]["command"].endswith("--seed 3 --seconds 1.5")
    assert found["profiles"][0]["design"] == "sigmoid"


def test_wrong_words_are_one_sentence(capsys, rings: str):
    assert "no lesson on 'dept'; the topics are: depth" in fails(capsys, "explain", "dept")
    assert "there is no data set 'digit'" in fails(capsys, "explain", "depth", "--data", "digit")
    assert "nowhere is no folder" in fails(capsys, "explain", "depth", "--out", "nowhere/page.html")
    wrong = fails(capsys, "explain", "depth", "--data", rings, "--seconds", "0")
    assert "seconds must be positive" in wrong
