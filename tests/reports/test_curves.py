"""The curves' tables: each holds the numbers of its own chart."""

from pathlib import Path

import skipwise
from skipwise.reports import read_run
from skipwise.reports.curves import curves
from tests.reports.runs import told
from tests.reports.test_verdict import FALLS, LEVEL


def test_each_curve_has_a_table_of_its_own_columns(tmp_path: Path):
    run = read_run(told(tmp_path / "run", LEVEL, FALLS, FALLS))
    loss, metric, rate = (chart.table for chart in curves(run))
    assert loss.columns == ["step", "epoch", "training loss", "validation loss"]
    assert metric.columns == ["step", "epoch", "training accuracy", "validation accuracy"]
    assert rate.columns == ["step", "epoch", "rate"]
    assert loss.rows[0] == ["10", "1.00", "2", "2"]
    assert metric.rows[0] == ["10", "1.00", "50 %", "50 %"]
    assert rate.rows[0] == ["10", "1.00", "0.1"]


def test_a_table_that_is_a_summary_is_called_one(tmp_path: Path):
    page = skipwise.report(told(tmp_path / "run", LEVEL, FALLS, FALLS)).read_text()
    gradient = page.split('id="gradients-chart"')[1].split("</div>")[0]
    matrix = page.split('id="confusion-chart"')[1].split("</div>")[0]
    assert "The table below holds a summary." in gradient
    assert "The table below holds the numbers." in matrix
    assert "the tables below them hold their numbers or a summary" in page


def test_without_an_evaluation_the_training_accuracy_is_drawn_alone(tmp_path: Path):
    folder = told(tmp_path / "run", LEVEL, FALLS, FALLS, test=None)
    journal = folder / "metrics.jsonl"
    steps = [line for line in journal.read_text().splitlines(True) if '"validation"' not in line]
    journal.write_text("".join(steps))
    _, metric, _ = curves(read_run(folder))
    assert metric.title == "Accuracy"
    assert metric.table.columns == ["step", "epoch", "training accuracy"]
    (trace,) = metric.figure["data"]
    assert (trace["name"], set(trace["y"]), trace["x"][-1]) == ("training", {0.5}, 80)
    journal.write_text("".join(steps).replace('"accuracy": 0.5', '"accuracy": null'))
    assert [chart.title for chart in curves(read_run(folder))] == ["Loss", "Learning rate"]


def test_a_report_says_where_training_and_validation_have_different_losses(tmp_path: Path):
    folder = told(tmp_path / "run", LEVEL, FALLS, FALLS)
    assert "binary" not in curves(read_run(folder))[0].words
    with (folder / "experiment.yaml").open("a") as file:
        file.write("strategy: {loss: binary}\n")
    words = curves(read_run(folder))[0].words
    assert "It is the binary cross-entropy, the mean over the classes; evaluations give" in words
