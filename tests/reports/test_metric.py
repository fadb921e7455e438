"""A run whose weights another metric chose: every number of its report is of that metric."""

import json
from pathlib import Path

import skipwise
from skipwise.reports import compare_to, read_run
from skipwise.reports.curves import curves
from skipwise.reports.verdict import headline
from tests.reports.runs import judged, told
from tests.reports.test_verdict import FALLS, LEVEL, said

FIRST = [0.5, 0.8, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6]  # the best is not that of the accuracy


def balanced(folder: Path, test: float = 0.75) -> Path:
    return judged(told(folder, LEVEL, FALLS, FALLS), "balanced_accuracy", FIRST, test)


def test_headline_verdict_and_best_are_of_the_metric(tmp_path: Path):
    run = read_run(balanced(tmp_path / "run"))
    assert headline(run) == "balanced accuracy 75 % on the test part"
    assert run.best is not None
    assert run.best.step == 20
    found = said(run.folder)
    assert "On 1,000 examples of the test part the balanced accuracy is 75 %." in found
    assert "Always saying one class would reach 50 %." in found
    assert "not better than that" not in found
    assert "the best balanced accuracy went from 80 % to 60 %" in found
    assert "against 90 % of validation" in found  # training and validation accuracy
    assert "The network is not better than that." in said(balanced(tmp_path / "bad", test=0.5))


def test_a_class_without_examples_is_none_to_guess(tmp_path: Path):
    run = balanced(tmp_path / "run")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        if line.get("part") == "test":
            line["per_class"]["examples"] = [700, 0, 300]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "Always saying one class would reach 50 %." in said(run)  # of two that are there


def test_the_curve_is_of_the_metric(tmp_path: Path):
    run = read_run(balanced(tmp_path / "run"))
    chart = curves(run)[1]
    assert chart.title == "Balanced accuracy"
    assert chart.table.columns == ["step", "epoch", "validation balanced accuracy"]
    assert chart.table.rows[1][-1] == "80 %"
    assert "The weights of step 20 were kept: 80 %." in chart.words
    assert "balanced accuracy" in skipwise.report(run.folder).read_text()


def test_beside_the_loss_stands_the_accuracy(tmp_path: Path):
    run = judged(told(tmp_path / "run", LEVEL, FALLS, FALLS), "loss", FALLS, 0.3)
    loss, metric, _ = curves(read_run(run))
    assert (loss.title, metric.title) == ("Loss", "Accuracy")
    assert headline(read_run(run)) == "loss 0.3 on the test part"


def test_runs_of_one_task_and_two_metrics_share_the_charts_of_the_loss(tmp_path: Path):
    one, other = told(tmp_path / "a", LEVEL, FALLS, FALLS), balanced(tmp_path / "b")
    found = compare_to([read_run(one), read_run(other)])
    assert [chart.name for chart in found.charts] == ["loss", "training"]
    assert "judged by different metrics" in found.absent[0]
    assert "not all scored on the same part by the same metric" in " ".join(found.verdict)
    same = [read_run(balanced(tmp_path / name, score)) for name, score in (("c", 0.8), ("d", 0.7))]
    found = compare_to(same)
    assert found.verdict[0] == "Best balanced accuracy on the test part: c, 80 %."
    assert found.verdict[1] == "d: 70 %, a difference of 10.0 points."


def test_a_run_without_evidence_is_judged_by_what_its_description_says(tmp_path: Path):
    run = balanced(tmp_path / "run")
    (run / "evidence.json").unlink()
    with (run / "experiment.yaml").open("a") as file:
        file.write("metric: balanced_accuracy\n")
    assert read_run(run).metric == "balanced_accuracy"
    assert read_run(told(tmp_path / "old", LEVEL, FALLS, FALLS)).metric == "accuracy"
