"""The page of a diagnosis: its numbers are those of the JSON, and it says what theory holds."""

import json
import math
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.graph_objects
import pytest

import skipwise
from skipwise.analysis import Measurement, Theory
from skipwise.diagnosis import Diagnosis
from skipwise.reports.diagnosis import write_diagnosis
from skipwise.reports.diagnosis.axes import scale_of
from skipwise.reports.diagnosis.curves import drawings_of
from skipwise.reports.diagnosis.measured import measured_of
from skipwise.reports.diagnosis.verdicts import cards_of
from tests.reports.diagnoses import VERDICTS, real, strange
from tests.reports.runs import figures_in, told

LEVELS = ["FAIL", "WARN", "INFO", "UNKNOWN", "PASS"]


class Reader(HTMLParser):
    """Reads tables back: for each, by its caption, rows of (text, exact value)."""

    def __init__(self):
        super().__init__()
        self.tables: dict[str, list[list[tuple[str, str]]]] = {}
        self.rows: list[list[tuple[str, str]]] = []
        self.text = self.exact = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]):
        if tag == "table":
            self.rows = []
        if tag == "tr":
            self.rows.append([])
        if tag in ("caption", "th", "td"):
            self.text = self.exact = ""
        if tag == "data":
            self.exact = dict(attrs)["value"] or ""

    def handle_data(self, data: str):
        self.text += data

    def handle_endtag(self, tag: str):
        if tag == "caption":
            self.tables[self.text.strip()] = self.rows
        if tag in ("th", "td"):
            self.rows[-1].append((self.text, self.exact))


def plain(diagnosis: Diagnosis) -> dict[str, Any]:
    """Give what diagnosis.json holds."""
    return json.loads(json.dumps(diagnosis.as_plain()))


def written(found: dict[str, Any], folder: Path) -> str:
    return write_diagnosis(found, folder).read_text()


def a_measurement(**changes: Any) -> dict[str, Any]:
    values = changes.pop("values", (1.0, 2.0, 4.0))
    theory = changes.pop("theory", {})
    made = Measurement(
        name="growth",
        formula="q",
        source="s",
        rows=tuple(map(str, range(len(values)))),
        columns={"q": values},
        theories=(
            Theory(
                **{
                    "name": "doubles", "column": "q", "formula": "2^l", "condition": "no norm",
                    "values": (1.0, 2.0, 4.0), "source": "s", "holds": True,
                    "low": (0.5, 1.0, 2.0), "high": (2.0, 4.0, 3.0), **theory,
                }
            ),
        ),
        **changes,
    )  # fmt: skip
    return json.loads(json.dumps(made.as_plain()))


def test_every_number_of_every_table_is_that_of_the_json(tmp_path: Path):
    found = plain(real())
    reader = Reader()
    reader.feed(written(found, tmp_path))
    seen = 0
    for card in measured_of(found["measurements"]):
        measured = found["measurements"][card.key]
        columns = list(measured["columns"].values())
        for theory in measured["theories"]:
            columns += [e for e in (theory["values"], theory["low"], theory["high"]) if e]
        if card.key == "signal":
            continue  # of two measurements of one name the page's second is read
        head, *rows = reader.tables[f"{measured['name']}."]
        assert len(head) == len(columns) + 1
        assert [row[0][0] for row in rows] == measured["rows"]
        for n, row in enumerate(rows):
            for column, (text, exact) in zip(columns, row[1:], strict=True):
                value = column[n]
                assert (exact == "" and text == "?") if value is None else float(exact) == value
                assert value is None or float(text.replace(",", "")) == pytest.approx(value, 5e-4)
                seen += value is not None
    assert seen > 900


def test_every_figure_draws_the_numbers_of_the_json(tmp_path: Path):
    found = plain(real())
    figures = figures_in(written(found, tmp_path))
    drawn = iter(figures)
    cards = measured_of(found["measurements"])
    with_theory = [bool(found["measurements"][card.key]["theories"]) for card in cards]
    assert with_theory == sorted(with_theory, reverse=True)
    for measured in (found["measurements"][card.key] for card in cards):
        for drawing in drawings_of(measured, "x"):
            figure = next(drawn)
            plotly.graph_objects.Figure(figure)
            traces = {trace.get("name"): trace for trace in figure["data"]}
            if drawing.column not in measured["columns"]:
                z = figure["data"][0]["z"]
                wanted = list(map(list, zip(*measured["columns"].values(), strict=True)))
                assert [v for line in z for v in line] == pytest.approx(
                    [v for line in wanted for v in line], 5e-4
                )
                continue
            assert traces[drawing.column]["y"] == measured["columns"][drawing.column]
            for theory in (t for t in measured["theories"] if t["column"] == drawing.column):
                suffix = " (does not hold)" if theory["holds"] is False else ""
                assert traces[f"theory: {theory['name']}{suffix}"]["y"] == theory["values"]
    assert next(drawn, None) is None
    assert len(figures) >= 14


def test_the_verdicts_stand_worst_first_with_all_they_say(tmp_path: Path):
    found = plain(real())
    cards = cards_of(found["verdicts"])
    assert [card.level for card in (*cards.open, *cards.passed)] == LEVELS
    assert [card.level for card in cards.passed] == ["PASS"]
    page = unescape(written(found, tmp_path))
    for verdict in VERDICTS:
        texts = (verdict.name, verdict.says, verdict.reference, verdict.band, verdict.cure)
        for text in (*texts, verdict.source, verdict.confidence, *verdict.where):
            assert text.replace(" %", "\u00a0%") in page
        for value in verdict.numbers.values():
            assert math.isnan(value) or f'<data value="{value!r}">' in page
    assert found["headline"] in page
    assert "61 s of 60 s were used" in page
    assert "skipwise diagnose runs/digits-resnet20-momentum-1" in page


def test_a_theory_that_does_not_hold_is_grey_and_thin_and_said_so():
    (drawing,) = drawings_of(a_measurement(theory={"holds": False}), "x")
    theory, measured = drawing.figure["data"]
    assert theory["name"] == "theory: doubles (does not hold)"
    assert theory["line"]["color"] == "var(--soft)"
    assert theory["line"]["width"] < measured["line"]["width"]
    (said,) = drawing.expectations
    assert said.standing.startswith("Does not hold here, so it is drawn thin and grey")
    assert said.met == ""


def test_a_theory_that_holds_has_its_band_and_says_how_often_it_is_met():
    (drawing,) = drawings_of(a_measurement(), "x")
    band, theory, measured = drawing.figure["data"]
    assert band["x"] == [0.0, 1.0, 2.0, 2.0, 1.0, 0.0, None]
    assert band["y"] == [2.0, 4.0, 3.0, 2.0, 1.0, 0.5, None]
    assert theory["name"] == "theory: doubles"
    assert measured["legendrank"] == 1
    assert drawing.expectations[0].met == "Measured within its band at 2 of 3."


def test_gaps_stay_gaps_and_are_counted():
    measured = a_measurement(
        values=(1.0, math.nan, -4.0), theory={"low": (0.5, math.nan, 2.0)}, logarithmic=True
    )
    (drawing,) = drawings_of(measured, "x")
    band, _, line = drawing.figure["data"]
    assert line["y"] == [1.0, None, -4.0]
    assert band["x"] == [0.0, 0.0, None, 2.0, 2.0, None]
    assert "1 of 3 values are not known" in drawing.words
    assert "1 of 3 are not positive" in drawing.words
    assert drawing.figure["layout"]["yaxis"]["type"] == "log"


def test_a_curve_stands_over_its_positions():
    measured = a_measurement(positions=(-1.0, 0.5, 3.0))
    (drawing,) = drawings_of(measured, "x")
    assert all(trace["x"][:3] == [-1.0, 0.5, 3.0] for trace in drawing.figure["data"])


def test_an_axis_shows_all_that_is_believed_and_little_of_what_is_not():
    axis, outside = scale_of([1.0, 3.0], [3.9, 1e9], logarithmic=False)
    assert outside
    assert axis["range"] == pytest.approx([1 - 0.12, 3.9 + 0.12])
    axis, outside = scale_of([1e-8, 1e4, None, -1.0], logarithmic=True)
    assert not outside
    assert axis["range"] == pytest.approx([-8.72, 4.72])
    assert axis["tickvals"][:2] == [1e-9, 1e-7]
    assert scale_of([0.0, -1.0], logarithmic=True)[0].keys() == {"range"}
    assert scale_of([None], logarithmic=True) == ({}, False)


def test_what_is_strange_is_shown_as_it_is(tmp_path: Path):
    page = written(strange(), tmp_path)
    assert "<script>alert" not in page
    assert "<b>bold" not in page
    (figure,) = figures_in(page)
    name = "&lt;b&gt;bold&lt;/b&gt;&amp;&lt;script&gt;alert(1)&lt;/script&gt;"
    assert figure["data"][0]["name"] == name
    assert len(figure["data"][0]["y"]) == 200
    assert page.count("fewer than two numbers") == 3


def test_a_diagnosis_of_nothing_has_a_page(tmp_path: Path):
    page = written(Diagnosis(verdicts=()).as_plain(), tmp_path)
    assert "No rule was asked." in page
    assert "Nothing was measured." in page


def test_a_page_stays_small_and_says_what_its_tables_leave_out(tmp_path: Path):
    rows = tuple(f"layers.{n}.weight" for n in range(2000))
    columns = {name: tuple(n / 7 for n in range(2000)) for name in "abcdef"}
    made = {
        str(n): Measurement(name=str(n), formula="", source="", rows=rows, columns=columns)
        for n in range(10)
    }
    page = written(Diagnosis(verdicts=(), measurements=made).as_plain(), tmp_path)
    assert len(page.encode()) < 6_000_000
    assert "The first 166 of 2,000 rows. diagnosis.json holds them all." in page
    for figure in figures_in(page):
        assert figure["data"][0]["y"] == [n / 7 for n in range(0, 2000, 4)]
        assert figure["layout"]["xaxis"]["title"]["text"] == "block, 1 of 4 drawn"


def test_it_is_written_without_torch(tmp_path: Path):
    path = tmp_path / "diagnosis.json"
    path.write_text(json.dumps(strange()))
    code = (
        "import json, sys, pathlib; from skipwise.reports.diagnosis import write_diagnosis;"
        f"path = pathlib.Path({str(path)!r}); plain = json.loads(path.read_text());"
        "write_diagnosis(plain, path.parent / 'x.html'); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "x.html").exists()


def test_the_report_of_a_run_leads_to_its_diagnosis(tmp_path: Path):
    run = told(tmp_path / "a run", [0.5], [1.0], [1.0])
    assert 'id="diagnosis"' not in skipwise.report(run).read_text()
    found = plain(real())
    (run / "diagnosis.json").write_text(json.dumps(found))
    page = skipwise.report(run).read_text()
    assert found["headline"] in page
    assert "FAIL V2: The curvature is 4.812 times" in page
    assert "The whole diagnosis" not in page
    write_diagnosis(found, run)
    assert '<a href="diagnosis.html">' in skipwise.report(run).read_text()
    other = skipwise.report(run, out=tmp_path / "other.html").read_text()
    assert '<a href="a%20run/diagnosis.html">' in other
    (run / "diagnosis.json").write_text("{}")
    with (run / "experiment.yaml").open("a") as file:
        file.write("network:\n  is: own.nets:small\n")
    again = f"skipwise diagnose '{run}' --allow own"
    page = unescape(skipwise.report(run).read_text())
    assert f"diagnosis.json cannot be read; {again} writes it anew." in page
