"""``evaluate --csv``: what the network says of each example, by its name."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics

import skipwise
from tests.cli.commands import SMALL, call, fails


def answers(capsys, *words: str) -> tuple[list[list[str]], dict]:
    """Evaluate, and give the table with its header and the scores."""
    code, out, err = call(capsys, "evaluate", *words, "--csv", "answers.csv", "--json")
    assert code == 0, err
    rows = list(csv.reader(Path("answers.csv").read_text().splitlines()))
    scores = json.loads(out)
    assert f"{len(rows) - 1} examples in answers.csv" in err
    assert len(rows) - 1 == scores["examples"]
    return rows, scores


def test_of_classes_the_scores_follow_from_the_table(capsys, rings: str):
    call(capsys, "train", rings, "--steps", "8", "--out", "r", *SMALL)
    (header, *rows), scores = answers(capsys, "r")
    assert header == ["name", "truth", "prediction", "probability", "0", "1", "2", "3", "4"]
    names, truth, said, probability = ([row[n] for row in rows] for n in range(4))
    shares = np.array([row[4:] for row in rows], dtype=float)
    with np.load(rings) as arrays:
        assert [str(arrays["y"][int(name)]) for name in names] == truth
    assert len(set(names)) == len(names)
    assert [str(n) for n in shares.argmax(1)] == said
    assert [float(p) for p in probability] == shares.max(1).tolist()
    assert 0 < scores["accuracy"] < 1
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))
    wanted = metrics.balanced_accuracy_score(truth, said)
    assert scores["balanced_accuracy"] == pytest.approx(wanted)
    assert scores["f1"] == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    assert scores["loss"] == pytest.approx(metrics.log_loss(truth, shares), rel=1e-6)


def test_pictures_go_by_their_files_in_table_report_and_python(capsys, pictures: str):
    call(capsys, "train", pictures, "--steps", "2", "--out", "r", *SMALL)
    (header, *rows), _ = answers(capsys, "r", pictures)
    assert header == ["name", "truth", "prediction", "probability", "cat", "dog"]
    wanted = {str(p.relative_to(pictures)): p.parent.name for p in Path(pictures).rglob("*.png")}
    assert {row[0]: row[1] for row in rows} == wanted
    (_, *held), _ = answers(capsys, "r")
    mistakes = json.loads(Path("r/evidence.json").read_text())["parts"]["test"]["mistakes"]
    said = {row[0]: row for row in held}
    assert len(mistakes) == sum(row[1] != row[2] for row in held)
    for mistake in mistakes:
        row = said[mistake["name"]]
        assert row[1:3] == [("cat", "dog")[mistake[n]] for n in ("truth", "said")]
    part = skipwise.Folder(path=pictures).load().test
    assert part is not None
    found = skipwise.load("r").predict(part)
    assert [p.source for p in found] == [row[0] for row in held]
    assert [p.label for p in found] == [row[2] for row in held]


def test_of_numbers_the_table_holds_truth_and_output(capsys, tmp_path: Path):
    noise = np.random.default_rng(0)
    x = noise.normal(size=(100, 3)).astype(np.float32)
    y = np.stack([3 + x.sum(1), x[:, 0] ** 2], 1)
    np.savez("sums.npz", x=x, y=y)
    call(capsys, "train", "sums.npz", "--steps", "20", "--out", "r", "--quiet")
    (header, *rows), scores = answers(capsys, "r")
    assert header == ["name", "truth_0", "truth_1", "output_0", "output_1"]
    table = np.array(rows, dtype=float)
    assert np.array_equal(table[:, 1:3], y.astype(np.float32)[table[:, 0].astype(int)])
    error = metrics.root_mean_squared_error(table[:, 1:3].ravel(), table[:, 3:].ravel())
    assert scores["rmse"] == pytest.approx(error, rel=1e-5)
    outputs = skipwise.load("r").outputs(torch.from_numpy(x[table[:, 0].astype(int)]))
    assert table[:, 3:] == pytest.approx(outputs.numpy(), abs=1e-5)


def test_of_several_labels_each_has_its_probability(capsys, pictures: str):
    Path(pictures, "dog").rename(Path(pictures, "cat+dog"))
    words = ("--multi-label", "--steps", "4", "--out", "r", *SMALL)
    call(capsys, "train", pictures, *words)
    (header, *rows), scores = answers(capsys, "r", pictures)
    assert header == ["name", "truth", "prediction", "cat", "dog"]
    for name, truth, said, *shares in rows:
        assert truth == Path(name).parent.name
        given = [label for label, p in zip(("cat", "dog"), shares, strict=True) if float(p) >= 0.5]
        assert said == "+".join(given)
    assert scores["exact"] == sum(row[1] == row[2] for row in rows) / len(rows)


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(capsys):
    Path("there").mkdir()
    for verb in (("evaluate", "no-run"), ("predict", "no-run", "cat.png")):
        told = fails(capsys, *verb, "--csv", "nowhere/answers.csv")
        assert "nowhere is no folder, so the table could not be written to nowhere/" in told
        told = fails(capsys, *verb, "--csv", "there")
        assert "there is a folder, so the table could not be written to there; name anoth" in told


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc")
def test_where_nothing_can_be_made_not_even_by_root_is_refused_beforehand(capsys, rings: str):
    for words, told in (
        (("predict", "no-run", "cat.png", "--csv", "/proc/x.csv"), "so the table could not be"),
        (("export", "no-run", "/proc/x.pt2"), "so the model could not be written to /proc/x.pt2"),
        (("train", rings, "--out", "/proc/x"), "so the run could not be written to /proc/x"),
        (("train", rings, "--out", "/proc/x/y"), "so the run could not be written to /proc/x/y"),
        (("compare", rings, "--network", "resnet20,plain20", "--out", "/proc/x"), "so the study"),
        (("diagnose", "resnet20", "--data", rings, "--out", "/proc/x"), "so the diagnosis could"),
        (("explain", "depth", "--out", "/proc/x.html"), "so the page could not be written to"),
    ):
        assert f"/proc is not writable (No such file or directory), {told}" in fails(capsys, *words)
