"""What the network says, of many classes and of classes without examples."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from scipy.stats import binomtest

import skipwise
from skipwise.records import (
    EvaluationRecord,
    Evidence,
    Mistake,
    PartEvidence,
    evidence_to_text,
    to_line,
)
from skipwise.reports import read_run
from skipwise.reports.predictions import classes, confusion, mistakes
from tests.reports.runs import FACTS, told
from tests.reports.test_verdict import FALLS, LEVEL


def with_classes(folder: Path, count: int, pairs: Sequence[Sequence[int]], **more) -> Path:
    """Write a run of so many classes, with these (truth, said, count) of its test part."""
    run = told(folder, LEVEL, FALLS, FALLS)
    behind = PartEvidence(step=80, examples=1000, confusion=pairs, **more)
    facts = {**FACTS, "classes": [f"c{n}" for n in range(count)]}
    evidence = Evidence(facts=facts, state="finished", parts={"test": behind})
    (run / "evidence.json").write_text(evidence_to_text(evidence))
    with (run / "metrics.jsonl").open("a") as file:
        file.write(to_line(scored([0.5] * count, [9.0] * count)))
    return run


def scored(recalls: Sequence[float], sizes: Sequence[float]) -> EvaluationRecord:
    columns = {"precision": recalls, "recall": recalls, "f1": recalls, "examples": sizes}
    metrics = {"accuracy": 0.5, "loss": 1.0}
    return EvaluationRecord(
        step=80, part="test", examples=9, metrics=metrics, seconds=0.1, per_class=columns
    )


def test_a_class_without_examples_is_not_the_lowest(tmp_path: Path):
    run = read_run(with_classes(tmp_path / "run", 3, [[0, 0, 5], [1, 1, 4]]))
    chart = classes(run, scored([1.0, 0.5, 0.0], [5, 4, 0]))
    assert chart is not None
    assert "Lowest: 'c1', 50 % of 4." in chart.words
    assert "Without examples, and left out: 1 class." in chart.words
    assert chart.figure["data"][0]["y"] == ["c1", "c0"]
    assert len(chart.table.rows) == 3
    assert classes(run, scored([0.0] * 3, [0] * 3)) is None


def test_colours_are_shares_of_a_row_and_the_sentence_counts_its_class(tmp_path: Path):
    pairs = [[0, 0, 6], [0, 1, 2], [1, 1, 1], [2, 0, 1], [2, 2, 4]]
    chart = confusion(read_run(with_classes(tmp_path / "run", 3, pairs)), "test")
    assert chart is not None
    (heat,) = chart.figure["data"]
    assert heat["z"] == [[0.75, 0.25, 0.0], [0.0, 1.0, 0.0], [0.2, 0.0, 0.8]]
    assert "The most frequent mistake: 'c0' taken for 'c1', 2 of 8." in chart.words
    assert [row[1:] for row in chart.table.rows] == [
        ["6", "2", "0"],
        ["0", "1", "0"],
        ["1", "0", "4"],
    ]


def test_the_bars_of_a_recall_reach_to_the_ends_of_its_interval(tmp_path: Path):
    run = read_run(with_classes(tmp_path / "run", 2, [[0, 0, 9], [1, 1, 9]]))
    chart = classes(run, scored([0.9, 0.25], [10, 8]))
    assert chart is not None
    (dots,) = chart.figure["data"]
    assert (dots["y"], dots["x"]) == (["c1", "c0"], [0.25, 0.9])
    for n, (right, size) in enumerate([(2, 8), (9, 10)]):
        truth = binomtest(right, size).proportion_ci(method="wilson")
        assert dots["x"][n] + dots["error_x"]["array"][n] == pytest.approx(truth.high, abs=1e-4)
        assert dots["x"][n] - dots["error_x"]["arrayminus"][n] == pytest.approx(truth.low, abs=1e-4)


def test_a_chart_that_leaves_classes_out_says_so(tmp_path: Path):
    run = read_run(with_classes(tmp_path / "run", 50, [[n, n, 9] for n in range(50)]))
    chart = classes(run, scored([n / 50 for n in range(50)], [9] * 50))
    assert chart is not None
    assert len(chart.figure["data"][0]["y"]) == 40
    assert "Of 50 classes the 40 lowest are shown; the table has all." in chart.words


def test_of_very_many_classes_the_most_frequent_mistakes_are_told(tmp_path: Path):
    run = with_classes(tmp_path / "run", 129, [[0, 0, 5], [3, 128, 2], [7, 8, 6]])
    assert confusion(read_run(run), "test") is None
    page = skipwise.report(run).read_text()
    assert "There are too many classes for a confusion matrix; a table below names" in page
    text = " ".join(page.split())
    assert '<th scope="row">c7</th><td>c8</td><td>6</td></tr> <tr><th scope="row">c3</th>' in text


def test_a_picture_says_in_words_what_it_was_taken_for(tmp_path: Path):
    wrong = Mistake(
        index=7, truth=0, said=1, probability=0.9, probability_of_truth=0.1, picture="iVBO"
    )
    run = with_classes(tmp_path / "run", 2, [[0, 1, 1]], mistakes=[wrong])
    page = skipwise.report(run).read_text()
    assert 'alt="test example 7: said c1 (90\u00a0%), is c0 (10\u00a0%)"' in page


def test_a_mistake_is_called_by_its_file_else_by_its_number(tmp_path: Path):
    names = ("c0/a cat.png", "812", "")
    wrong = [
        Mistake(index=n, truth=0, said=1, probability=0.9, probability_of_truth=0.1, name=name)
        for n, name in enumerate(names)
    ]
    run = read_run(with_classes(tmp_path / "run", 2, [[0, 1, 3]], mistakes=wrong))
    behind = run.behind("test")
    assert behind is not None
    assert [picture.where for picture in mistakes(run, behind, "test")] == [
        "c0/a cat.png (test)",
        "test example 1, number 812 of its array",
        "test example 2",
    ]


def test_a_picture_is_declared_as_what_it_is(tmp_path: Path):
    wrong = [
        Mistake(index=n, truth=0, said=1, probability=0.9, probability_of_truth=0.1, picture=p)
        for n, p in ((1, "iVBO"), (2, "/9j/"))
    ]
    page = skipwise.report(
        with_classes(tmp_path / "run", 2, [[0, 1, 2]], mistakes=wrong)
    ).read_text()
    assert 'src="data:image/png;base64,iVBO"' in page
    assert 'src="data:image/jpeg;base64,/9j/"' in page
