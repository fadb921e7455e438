"""``skipwise report``: files where it says, one sentence where it cannot."""

import json
import webbrowser
from pathlib import Path

import pytest

from tests.cli.commands import SMALL, call, fails
from tests.contracts.test_disk import call as process
from tests.reports.runs import told
from tests.reports.test_verdict import FALLS, LEVEL


def test_a_page_is_written_where_the_command_says(tmp_path: Path, capsys):
    runs = [str(told(tmp_path / name, LEVEL, FALLS, FALLS)) for name in "ab"]
    assert call(capsys, "report", runs[0])[1] == f"report: {runs[0]}/report.html\n"
    assert call(capsys, "report", *runs)[1] == "report: comparison.html\n"
    code, out, _ = call(capsys, "report", *runs, "--out", "x.html", "--json")
    assert (code, json.loads(out)) == (0, {"report": "x.html", "runs": runs})
    assert Path("x.html").stat().st_size > 1e6


def test_of_a_study_the_way_to_its_page_is_told(tmp_path: Path, capsys):
    study = tmp_path / "a study"
    study.mkdir()
    (study / "study.yaml").write_text("networks:\n- is: own.nets:small\n")
    said = (
        f"skipwise: {study} is a study, and its page is {study}/study.html; skipwise compare"
        f" '{study}' --allow own goes on with it and writes that; its runs lie below {study}/runs\n"
    )
    assert fails(capsys, "report", str(study)) == said
    assert fails(capsys, "resume", str(study)) == said


def test_a_report_is_opened_in_the_browser(tmp_path: Path, capsys, monkeypatch):
    run, opened = told(tmp_path / "run", LEVEL, FALLS, FALLS), []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    assert call(capsys, "report", str(run), "--open")[0] == 0
    assert opened == [(run / "report.html").as_uri()]


def test_what_is_no_run_is_one_sentence(tmp_path: Path, capsys):
    run = str(told(tmp_path / "run", LEVEL, FALLS, FALLS))
    assert "is not a run: it has no experiment.yaml" in fails(capsys, "report", str(tmp_path))
    assert "is not a run" in fails(capsys, "report", run, "nowhere")
    assert "name a run" in fails(capsys, "report")
    error = fails(capsys, "report", run, "--out", "nowhere/x.html")
    assert "the folder nowhere does not exist; make it, or name another with --out" in error


def test_a_run_without_a_report_has_none(rings: str, capsys):
    words = ("train", rings, "--steps", "2", "--out", "run", *SMALL)
    assert call(capsys, *words, "--no-report")[0] == 0
    assert not Path("run/report.html").exists()
    assert call(capsys, "resume", "run", "--steps", "3", "--quiet")[0] == 0
    assert Path("run/report.html").exists()


@pytest.mark.processes
@pytest.mark.xdist_group("processes")
def test_a_disk_that_is_full_for_the_report_leaves_the_run_whole(rings: str):
    words = ("train", rings, "--steps", "2", "--out", "a run", *SMALL)
    done = process(*words, largest_file=2_000_000)
    assert done.returncode == 0
    assert "no report was written: File too large; the run is whole" in done.stderr
    assert "skipwise report 'a run' writes it" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not [p.name for p in Path("a run").iterdir() if "report" in p.name]
    again = process("report", "a run", largest_file=2_000_000)
    assert again.returncode == 2
    assert "the report cannot be written: File too large" in again.stderr
    assert process("report", "a run").returncode == 0
