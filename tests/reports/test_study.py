"""The page of a study says what its records say, and its bands are right."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skipwise.comparison import ArmRun, Point, StudyRecord, compare, conclusion, study_to_text
from skipwise.reports import study_report
from skipwise.reports.study.curves import band
from skipwise.reports.study.page import study_page
from skipwise.reports.study.pairs import forest, pair_tables
from skipwise.reports.study.ranking import rankings
from skipwise.reports.study.runs import run_table
from skipwise.reports.study.target import arrivals, profile_charts
from skipwise.reports.study.tuning import parts_chart
from studies.article import FOUND, HERE, keep
from tests.comparison.planted import design, study, two, whole
from tests.comparison.test_pairs import BASE, GAPS
from tests.comparison.test_tuning import parts_study


def run(steps, scores, *, diverged: bool = False) -> ArmRun:
    points = tuple(
        Point(step=x, seconds=x / 10, score=y) for x, y in zip(steps, scores, strict=True)
    )
    return ArmRun(arm="a", seed=0, score=0.5, diverged=diverged, curve=points)


def test_a_band_holds_the_middle_half_of_the_runs():
    values = np.random.default_rng(0).uniform(0, 1, (9, 4))
    found = band([run([1, 2, 3, 4], row) for row in values], "step", 0.0)
    assert found is not None
    places, (low, middle, high) = found
    assert places.tolist() == [1, 2, 3, 4]
    ordered = np.sort(values, 0)
    assert np.allclose([low, middle, high], ordered[[2, 4, 6]])


def test_between_evaluations_a_run_moves_straight_and_after_them_it_stays():
    found = band([run([1, 3], [0.0, 1.0]), run([1, 2, 5], [0.0, 0.5, 0.5])], "step", 0.0)
    assert found is not None
    assert found[0].tolist() == [1, 2, 3, 5]
    assert found[1][1].tolist() == [0.0, 0.5, 0.75, 0.75]
    by_time = band([run([1, 3], [0.0, 1.0])], "seconds", 0.0)
    assert by_time is not None
    assert by_time[0].tolist() == [0.1, 0.3]


def test_a_run_that_diverged_stands_at_the_worst_and_is_not_left_out():
    runs = [run([1, 2], [0.4, math.nan], diverged=True), run([1, 2, 3], [0.5, 0.6, 0.7])]
    found = band([*runs, run([], [], diverged=True)], "step", 0.1)
    assert found is not None
    assert found[1][1].tolist() == [0.4, 0.1, 0.1]  # the middle of (.4, .5, .1), (.1, .6, .1), …
    assert band([run([], [])], "step", 0.1) is None


def test_the_page_of_a_whole_study_has_every_part(tmp_path: Path):
    record = whole()
    page = study_page(record, tmp_path)
    assert page.verdict == conclusion(compare(record))
    assert page.headline == "2 of 4 comparisons show a difference, 2 are inconclusive"
    charts = [chart.name for section in page.sections for chart in section.charts]
    assert len(charts) == len(set(charts)) == 2 + 1 + 4 + 6 + 3 + 4 + 2
    for section in page.sections:
        assert section.charts or section.tables or section.texts, section.name
        for table in [*section.tables, *(chart.table for chart in section.charts)]:
            assert table.rows, table.caption
            assert {len(row) for row in table.rows} == {len(table.columns)}


def test_runs_are_one_click_away_where_they_have_a_report(tmp_path: Path):
    record = whole()
    first = record.runs[0]
    there = replace(first, path="runs/a b#1")
    (tmp_path / there.path).mkdir(parents=True)
    (tmp_path / there.path / "report.html").write_text("")
    record = replace(record, runs=(there, *record.runs[1:]))
    table = run_table(record, tmp_path)
    assert vars(table.rows[0][-1]) == {
        "words": "runs/a b#1",
        "address": "runs/a%20b%231/report.html",
    }
    assert table.rows[1][-1] == record.runs[1].path  # no report, no link
    text = study_report(record, tmp_path).read_text()
    assert '<a href="runs/a%20b%231/report.html">runs/a b#1</a>' in text


def test_a_page_that_is_kept_without_its_runs_links_to_none(tmp_path: Path):
    record, folder = whole(), tmp_path / "study"
    page = folder / record.runs[0].path / "report.html"
    page.parent.mkdir(parents=True)
    page.touch()
    for name in FOUND:
        (folder / name).write_text(study_to_text(record))
    assert '<a href="runs/' in study_report(record, folder).read_text()
    keep(folder)
    assert '<a href="runs/' not in (tmp_path / "study.html").read_text()
    assert '<a href="runs/' not in (HERE / "study.html").read_text()


def test_words_of_a_user_cannot_become_a_program(tmp_path: Path):
    evil = "</script><b>x"
    plan = replace(whole().design, data=evil, facts={"note": evil})
    text = study_report(StudyRecord(design=plan), tmp_path).read_text()
    assert evil not in text
    found = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text)
    assert all(json.loads(figure)["data"] is not None for figure in found)


def test_the_forest_has_a_mark_for_each_comparison_and_none_without_pairs():
    record = whole()
    chart = forest(compare(record))
    assert chart is not None
    marks = {
        trace["name"]: dict(zip(trace["y"], trace["x"], strict=True))
        for trace in chart.figure["data"]
    }
    pairs = compare(record).pairs
    assert marks["better"] == {
        n: pytest.approx(100 * pair.advantage, rel=1e-5)
        for n, pair in enumerate(pairs)
        if pair.verdict == "better"
    }
    bars = chart.figure["data"][0]["error_x"]
    assert bars["array"][0] == pytest.approx(100 * (pairs[0].high - pairs[0].advantage), rel=1e-4)
    assert forest(compare(two([], []))) is None


def test_the_chart_of_parts_has_a_mark_for_each_part_beside_others_and_alone():
    comparison = compare(parts_study())
    chart = parts_chart(comparison)
    assert chart is not None
    beside, alone = chart.figure["data"]
    momentum, decay = comparison.ablation
    assert momentum.beside is not None
    assert momentum.alone is not None
    assert decay.beside is not None
    both = [100 * momentum.beside.advantage, 100 * decay.beside.advantage]
    assert beside["x"] == pytest.approx(both, rel=1e-5)
    assert alone["x"] == pytest.approx([100 * momentum.alone.advantage], rel=1e-5)
    low = momentum.beside.advantage - momentum.beside.low
    assert beside["error_x"]["arrayminus"][0] == pytest.approx(100 * low, rel=1e-4)
    assert [row[0] for row in chart.table.rows] == ["momentum", "decay"]
    assert parts_chart(compare(whole())) is None


def test_pairs_that_share_nothing_leave_no_empty_table():
    plan = design(["sgd", "adam"], networks=("plain20", "resnet20"))
    apart = replace(plan, arms=(plan.arms[0], plan.arms[3]))
    found = compare(study(apart, {arm.name: BASE for arm in apart.arms}))
    assert len(found.others) == 1
    assert pair_tables(found) == ()


def test_an_infinite_interval_has_no_bar():
    chart = forest(compare(two(BASE[:5] + GAPS[:5], BASE[:5], seeds=range(5))))
    assert chart is not None
    assert chart.figure["data"][0]["error_x"]["array"] == [0.0]


def test_the_ranking_shows_every_run_and_the_failures():
    record = whole()
    plain, _ = rankings(record, compare(record))
    shown = {trace["name"]: trace["x"] for trace in plain.figure["data"]}
    assert len(shown["adam: runs"]) == 8
    worst = compare(record).worst["plain20"]
    assert min(shown["adam: runs"]) == pytest.approx(worst, rel=1e-5)


def test_arrivals_end_at_the_share_that_arrived():
    record = whole()
    found = compare(record)
    chart = next(c for c in arrivals(record, found) if c.name == "target-0-steps")
    for trace in chart.figure["data"]:
        time = next(t for t in found.times if t.arm == f"plain20/{trace['name']}")
        assert trace["y"][-1] == pytest.approx(1 - time.misses / time.runs)
    assert len(profile_charts(found)) == 3
    assert "by multiplications" in arrivals(record, found)[2].title


def test_what_is_known_of_no_run_has_no_chart():
    record = whole()
    runs = tuple(replace(run, macs_to_target=math.inf) for run in record.runs)
    record = replace(record, runs=runs)
    assert len(arrivals(record, compare(record))) == 4
    assert len(profile_charts(compare(record))) == 2


def test_a_study_with_halved_trials_says_what_was_tuned_and_what_it_cost(tmp_path: Path):
    record = whole()
    trials = [replace(t, share=1.0 if t.chosen else 0.5) for t in record.trials]
    page = study_page(replace(record, trials=tuple(trials)), tmp_path)
    section = next(section for section in page.sections if section.name == "tuning")
    assert "tuned by halving" in section.tables[0].caption
    assert section.tables[0].rows[0][3:5] == ["6", "4 at 50%"]
    assert "there is no curve" in section.absent[0]
    empty = study_page(replace(record, trials=()), tmp_path)
    section = next(section for section in empty.sections if section.name == "tuning")
    assert (section.absent, section.tables) == (("No arm was tuned.",), ())


def test_an_empty_and_a_single_study_have_pages_too(tmp_path: Path):
    for record in (
        two([], []),
        study(design(["sgd"], lower_is_better=True, percent=False), {"resnet20/sgd": [0.5]}),
    ):
        text = study_report(record, tmp_path).read_text()
        assert "nan" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL).lower()


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path):
    with pytest.raises(OSError, match="nowhere"):
        study_report(two([], []), tmp_path / "nowhere")
