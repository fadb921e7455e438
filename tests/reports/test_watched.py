"""What monitors saw, in the report: every chart, its numbers, verdicts and costs."""

import json
from pathlib import Path

import plotly.graph_objects as go
import pytest

import skipwise
from skipwise.records import MeasureRecord, VerdictRecord, to_line
from tests.references import rings_file
from tests.reports.runs import figures_in, told
from tests.reports.test_verdict import FALLS, LEVEL
from tests.watch.test_watch import TINY

ALL = "gradients:every=5,curvature:every=5,units:every=5,updates:every=5,normalisation:every=5"


def test_a_watched_run_has_a_section_whose_figures_plotly_accepts(tmp_path: Path):
    data = str(rings_file(tmp_path / "rings.npz"))
    run = skipwise.train(data, TINY, steps=12, batch_size=32, out="run", watch=ALL, quiet=True)
    page = (Path(run.path) / "report.html").read_text()
    assert 'id="watched"' in page
    for name in ("gradient", "signal", "branch", "curvature", "updates", "units", "statistics"):
        (figure,) = [f for f in figures_in(page) if f == figure_of(page, f"watch-{name}")]
        go.Figure(figure)
        assert figure["data"][0]["y"]
    assert "What watching cost" in page
    assert f"<td>{ALL}</td>" in page


def figure_of(page: str, name: str) -> dict:
    piece = page.split(f'id="{name}-figure">', 1)[1]
    return json.loads(piece.split("</script>")[0])


def planted(folder: Path) -> Path:
    """Write a run whose monitors saw known numbers."""
    run = told(folder, LEVEL, FALLS, FALLS)
    events = [
        MeasureRecord(step=0, name="watch gradients", values={"examples": 8.0, "seconds": 0.02}),
        MeasureRecord(
            step=0,
            name="watch gradients: gradient norm",
            values={"trunk.blocks.0": 8.0, "end": 2.0},
        ),
        MeasureRecord(step=40, name="watch gradients", values={"examples": 8.0, "seconds": 0.06}),
        MeasureRecord(
            step=40,
            name="watch gradients: gradient norm",
            values={"trunk.blocks.0": 4.0, "end": 1.0},
        ),
        MeasureRecord(step=9, name="watch curvature", values={"examples": 80.0, "seconds": 0.4}),
        MeasureRecord(
            step=9,
            name="watch curvature: batch sharpness",
            values={
                "batch sharpness": 5.0,
                "seen by the optimiser": 6.0,
                "limit of stability": 12.0,
                "seen / limit": 0.5,
            },
        ),
        VerdictRecord(
            step=9, rule="V1", name="it vanishes", level="FAIL", says="<So it is.>", cure="skips"
        ),
    ]
    with (run / "metrics.jsonl").open("a") as file:
        file.write("".join(map(to_line, events)))
    return run


def test_curves_and_tables_hold_what_the_journal_says(tmp_path: Path):
    page = skipwise.report(planted(tmp_path / "run")).read_text()
    gradient = figure_of(page, "watch-gradient")["data"]
    assert [(t["name"], t["y"]) for t in gradient] == [
        ("step 0", [8.0, 2.0]),
        ("step 40", [4.0, 1.0]),
    ]
    sharpness, limit = figure_of(page, "watch-curvature")["data"]
    assert (sharpness["x"], sharpness["y"], limit["y"]) == ([9], [6.0], [12.0])
    text = " ".join(page.split())
    assert '<th scope="row">V1</th><td>it vanishes</td><td>9</td><td>FAIL</td>' in text
    assert "&lt;So it is.&gt;" in text
    cost = "<td>2</td><td>8</td><td>80 ms</td><td>40 ms</td><td>10 %</td>"  # 0.08 of 80 · 0.01 s
    whole = "<td>3.7 %</td>"  # of 0.8 s of steps, 0.9 s of evaluations, 0.48 s of watching
    assert f'<th scope="row">gradients</th>{cost}' in text
    assert whole in text.split(f'<th scope="row">gradients</th>{cost}', 1)[1][:40]
    assert "against the time of all steps" in text


def test_the_edge_of_stability_is_told_with_its_last_and_its_worst_number(tmp_path: Path):
    run = planted(tmp_path / "run")
    events = [
        VerdictRecord(step=9, rule="V4", name="rate", level="PASS", says="0.5 at first.", cure=""),
        *(
            MeasureRecord(
                step=s, name="watch curvature: batch sharpness", values={"seen / limit": r}
            )
            for s, r in ((20, 0.75), (40, 0.25))
        ),
    ]
    with (run / "metrics.jsonl").open("a") as file:
        file.write("".join(map(to_line, events)))
    text = " ".join(skipwise.report(run).read_text().split())
    assert "0.5 at first. Since then: 0.25 of the limit at step 40, the last" in text
    assert "at most 0.75, at step 20." in text


def test_the_time_of_watching_stands_beside_that_of_the_steps(tmp_path: Path):
    page = skipwise.report(planted(tmp_path / "run")).read_text()
    (bars,) = figure_of(page, "times")["data"]
    assert bars["x"][bars["y"].index("watching")] == pytest.approx(0.48)


def test_a_run_without_monitors_has_no_such_section(tmp_path: Path):
    page = skipwise.report(told(tmp_path / "run", LEVEL, FALLS, FALLS)).read_text()
    assert 'id="watched"' not in page


def test_charts_over_the_steps_stay_small_however_often_was_measured(tmp_path: Path):
    run = planted(tmp_path / "run")
    events = [
        MeasureRecord(
            step=step, name="watch updates: update / weight", values={"a": 1.0 + step % 2, "b": 4.0}
        )
        for step in range(960)
    ]
    with (run / "metrics.jsonl").open("a") as file:
        file.write("".join(map(to_line, events)))
    page = skipwise.report(run).read_text()
    largest, _, smallest = figure_of(page, "watch-updates")["data"]
    assert (largest["x"][-1], len(largest["x"])) == (959, 120)
    assert (set(largest["y"]), set(smallest["y"])) == ({4.0}, {1.5})
    assert "Each point is the mean of 8 measurements." in page
