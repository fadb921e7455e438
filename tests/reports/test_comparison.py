"""Runs side by side: what differs in kind is told apart, and each run is one click away."""

from pathlib import Path

import skipwise
from skipwise.reports import compare_to, read_run
from skipwise.reports.chart import Link
from tests.reports.runs import judged, told
from tests.reports.test_verdict import FALLS, LEVEL

NUMBERS = {"metric": "loss", "higher": False, "task": "regression"}


def test_runs_of_different_metrics_name_them_and_share_no_chart(tmp_path: Path):
    one = told(tmp_path / "a", LEVEL, FALLS, FALLS)
    other = told(tmp_path / "b", LEVEL, FALLS, FALLS, facts=NUMBERS)
    found = compare_to([read_run(one), read_run(other)])
    assert found.results.columns[2] == "metric"
    assert [row[2] for row in found.results.rows] == ["accuracy", "loss"]
    assert found.results.caption == "Scores are those of the metric that each row names."
    assert found.charts == []
    assert "share no chart" in skipwise.report(one, other, out=tmp_path).read_text()


def test_runs_of_one_metric_name_it_in_the_caption(tmp_path: Path):
    found = compare_to([read_run(told(tmp_path / n, LEVEL, FALLS, FALLS)) for n in "ab"])
    assert found.results.caption == "Scores are accuracy."
    assert "metric" not in found.results.columns
    assert len(found.charts) == 3


def test_of_errors_the_least_is_the_best(tmp_path: Path):
    ends = {"a": 0.4, "b": 0.3, "c": 0.5}
    runs = [
        judged(told(tmp_path / name, LEVEL, FALLS, FALLS), "loss", FALLS, test)
        for name, test in ends.items()
    ]
    found = compare_to([read_run(run) for run in runs]).verdict
    assert found[:3] == [
        "Best loss on the test part: b, 0.3.",
        "a: 0.4, a difference of 0.1.",
        "c: 0.5, a difference of 0.2.",
    ]


def test_the_table_of_a_curve_has_its_ends_and_its_extremes(tmp_path: Path):
    losses = [3.0, 1.0, 4.0, 0.5, 9.0, 2.0, 6.0, 5.0]
    runs = [read_run(told(tmp_path / name, LEVEL, losses, FALLS)) for name in "ab"]
    (chart,) = (chart for chart in compare_to(runs).charts if chart.name == "loss")
    assert chart.table.columns == ["run", "first", "highest", "lowest", "last"]
    assert chart.table.rows[0] == ["a", "3", "9", "0.5", "5"]


def test_scores_of_different_parts_are_not_compared(tmp_path: Path):
    tested, other = (
        told(tmp_path / name, LEVEL, FALLS, FALLS, test=score)
        for name, score in (("a", 0.9), ("b", None))
    )
    found = compare_to([read_run(tested), read_run(other)]).verdict
    assert found == ["They were not all scored on the same part by the same metric."]


def test_the_settings_that_stand_there_are_those_that_differ(tmp_path: Path):
    runs = [told(tmp_path / name, LEVEL, FALLS, FALLS) for name in "ab"]
    for run, rate in zip(runs, (0.1, 0.2), strict=True):
        with (run / "experiment.yaml").open("a") as file:
            file.write(f"strategy:\n  peak_lr: {rate}\n  name: own\n")
    found = compare_to([read_run(run) for run in runs]).settings
    assert found.columns == ["field", "a", "b"]
    assert found.rows == [["strategy.peak_lr", "0.1", "0.2"]]


def test_thirty_two_runs_look_different(tmp_path: Path):
    runs = [told(tmp_path / f"{n}", LEVEL, FALLS, FALLS) for n in range(32)]
    traces = compare_to([read_run(run) for run in runs]).charts[-1].figure["data"]
    assert len({(t["line"]["color"], t["line"]["dash"]) for t in traces}) == 32


def test_a_run_with_a_report_is_linked_from_the_page(tmp_path: Path):
    runs = [told(tmp_path / name, LEVEL, FALLS, FALLS) for name in ("a b", "c")]
    skipwise.report(runs[0])
    found = compare_to([read_run(run) for run in runs], tmp_path / "pages")
    first, second = (row[0] for row in found.results.rows)
    assert first == Link(words="a b", address="../a%20b/report.html")
    assert second == "c"
    page = skipwise.report(*runs, out=tmp_path / "both.html").read_text()
    assert '<a href="a%20b/report.html">a b</a>' in page
