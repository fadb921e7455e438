"""The page of every kind of run, and what becomes of a folder that is none."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from torch import nn

import skipwise
from skipwise.data import Arrays, Data, Folder, Shares
from skipwise.records import read_journal
from skipwise.reports import read_run
from tests.references import paint
from tests.reports.runs import figures_in, told
from tests.reports.test_verdict import FALLS, LEVEL
from tests.watch.test_watch import TINY


def own(inputs, classes) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs[0] * inputs[1] * inputs[2], classes))


def table(path: Path, *, numbers: bool = False) -> Path:
    noise = np.random.default_rng(0)
    x = noise.integers(0, 255, (120, 8, 8, 3)).astype(np.uint8)
    np.savez(path, x=x, y=noise.standard_normal((120, 1)) if numbers else np.arange(120) % 3)
    return path


def data_of(kind: str, folder: Path) -> Data:
    if kind == "labels":
        for n, name in enumerate(("sea", "beach", "beach+sea") * 20):
            paint(folder / "pictures" / name / f"{n}.png", (4 * n, 99, 200), size=(8, 8))
        return Folder(path=str(folder / "pictures"), multi_label=True)
    shares = Shares(validation=0, test=0) if kind == "no parts" else Shares()
    path = table(folder / "x.npz", numbers=kind == "numbers")
    return Arrays(path=str(path), shares=shares)


def written(folder: Path) -> str:
    return (folder / "report.html").read_text()


def test_a_run_leaves_a_page_whose_figures_plotly_accepts(tmp_path: Path):
    run = skipwise.train(
        str(table(tmp_path / "x.npz")), TINY, epochs=4, batch_size=16, out="run", quiet=True
    )
    page = written(Path(run.path))
    figures = figures_in(page)
    assert len(figures) == 8
    for figure in figures:
        go.Figure(figure)  # refuses what plotly does not know
    assert len(page.encode()) < 6e6
    assert "skipwise train run/experiment.yaml" in page
    assert 'src="data:image/png;base64,' in page


@pytest.mark.parametrize(
    ("processes", "command"),
    [
        (1, "skipwise train &#39;a b/run/experiment.yaml&#39;"),
        (2, "torchrun --standalone --nproc-per-node 2 -m skipwise train &#39;a b/run/experiment"),
    ],
)
def test_the_command_can_be_pasted_and_names_torchrun(tmp_path: Path, processes: int, command: str):
    run = told(Path("a b/run"), LEVEL, FALLS, FALLS, facts={"processes": processes})
    assert command in skipwise.report(run).read_text()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("skipwise resume run", ""),
        ("skipwise resume run --epochs 20", "from step 40 by “skipwise resume run --epochs 20”"),
        ("skipwise resume run --set=strategy.peak_lr=0.01", "from step 40 by “skipwise resume"),
        ("/a b/skipwise/__main__.py resume run epochs=20", "from step 40 by “/a b/skipwise"),
        ("skipwise resume run strategy.peak_lr=0.01", "from step 40 by “skipwise resume"),
        ("skipwise train digits --epochs 9", ""),  # again by torchrun, which lost a process
        ("skipwise train digits strategy.peak_lr=0.1", ""),
    ],
)
def test_a_run_that_was_changed_says_that_no_command_repeats_it(tmp_path: Path, command, sentence):
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS)
    (run / "log.txt").write_text(
        "2026-01-01 10:00:00 session from step 0: skipwise train digits --epochs 9\n\n"
        f"2026-01-01 10:00:00 session from step 40: {command}\n\n"
    )
    page = skipwise.report(run).read_text()
    assert ("The run was changed on its way" in page) == bool(sentence)
    assert sentence in page


def test_examples_a_second_are_those_of_the_steps(tmp_path: Path):
    page = skipwise.report(told(tmp_path / "run", LEVEL, FALLS, FALLS)).read_text()
    found = re.search(r"<dt>examples a second</dt><dd><strong>(.*?)<", page)
    assert found is not None
    assert found[1] == "8000"  # 80 in a hundredth of a second


def test_a_run_with_a_budget_of_time_says_that_its_length_was_fitted(tmp_path: Path):
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS)
    with (run / "experiment.yaml").open("a") as file:
        file.write("seconds: 600\n")
    page = skipwise.report(run).read_text()
    assert "Its length was fitted to a budget of 10 min 0 s" in page


def test_the_matrix_of_the_page_is_that_of_the_predictions(tmp_path: Path):
    path = table(tmp_path / "x.npz")
    run = skipwise.train(str(path), TINY, epochs=2, batch_size=16, out="run", quiet=True)
    test = Arrays(path=str(path)).load().test
    assert test is not None
    raw, truth = test.gather(torch.arange(len(test)))
    said = [p.label for p in skipwise.load(run).predict(raw)]
    counts = np.zeros((3, 3), dtype=int)
    np.add.at(counts, (truth.numpy(), np.array(said, dtype=int)), 1)
    (heat,) = (f for f in figures_in(written(Path(run.path))) if "customdata" in f["data"][0])
    assert heat["data"][0]["customdata"] == counts.tolist()


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("numbers", "Numbers were learned, not classes, so there is no confusion matrix."),
        ("labels", "An example may have several labels, so there is no confusion matrix."),
        ("no parts", "No part of the data was held out"),
        ("own", "Nothing is known of branches"),
        ("old", "The run recorded no single predictions"),
    ],
)
def test_what_does_not_apply_is_said(tmp_path: Path, kind: str, sentence: str):
    network = own if kind == "own" else TINY
    data = data_of(kind, tmp_path)
    run = skipwise.train(data, network, steps=6, batch_size=16, out="run", quiet=True)
    if kind == "old":
        (Path(run.path) / "evidence.json").unlink()
        skipwise.report(run)
    page = written(Path(run.path))
    assert sentence in page
    assert len(figures_in(page)) >= 3


def test_a_run_that_broke_before_its_first_evaluation_is_not_said_to_have_no_parts(tmp_path: Path):
    parts = {"examples": {"train": 800, "validation": 400, "test": 1000}}
    folder = told(tmp_path / "run", LEVEL, FALLS, FALLS, state="killed", test=None, facts=parts)
    journal = folder / "metrics.jsonl"
    steps = [line for line in journal.read_text().splitlines(True) if '"validation"' not in line]
    journal.write_text("".join(steps))
    page = skipwise.report(folder).read_text()
    assert "It was not evaluated yet, so nothing is known" in page
    assert "Nothing was validated yet." in page
    assert "There is no validation part" not in page


def test_a_name_with_marks_of_html_stays_text(tmp_path: Path):
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS, facts={"classes": ["</script><b>", "&amp;"]})
    page = skipwise.report(run).read_text()
    assert "</script><b>" not in page
    (heat,) = (f for f in figures_in(page) if "customdata" in f["data"][0])
    assert heat["data"][0]["x"] == ["</script><b>", "&amp;"]


def test_a_journal_cut_short_by_a_crash_is_read_to_its_last_whole_line(tmp_path: Path):
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS, state="running", test=None)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"event": "step", "st')
    assert "not finished: at step 80" in skipwise.report(run).read_text()


@pytest.mark.parametrize("left", ["nothing", "steps"])
def test_a_finished_run_without_its_scores_is_not_said_to_have_no_parts(tmp_path: Path, left: str):
    parts = {"examples": {"train": 800, "validation": 400, "test": 1000}}
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS, state="finished", test=None, facts=parts)
    if left == "nothing":
        (run / "metrics.jsonl").write_text("")
    page = skipwise.report(run).read_text()
    scored = "finished, but its scores are not in metrics.jsonl, which is missing or cut short"
    assert (scored in page) is (left == "nothing")
    cut = "the score of the test part is not in metrics.jsonl, which is cut short"
    assert (cut in page) is (left == "steps")
    assert "no part held out" not in page
    assert "there is no test part" not in page


def test_a_report_takes_the_place_of_no_file_of_another_kind(tmp_path: Path):
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS)
    (run / "last.ckpt").write_bytes(b"saved")
    for name in ("last.ckpt", "r.pdf", "page"):
        with pytest.raises(ValueError, match=rf"{name} is no name for a report, .* file \.html"):
            skipwise.report(run, out=run / name)
    assert (run / "last.ckpt").read_bytes() == b"saved"
    assert skipwise.report(run, out=tmp_path / "r.HTML").is_file()


def test_a_run_before_its_first_step_has_a_page(tmp_path: Path):
    page = skipwise.report(told(tmp_path / "run", [], [], [], state="running", test=None))
    assert "No step was taken yet." in page.read_text()


def test_a_loss_that_is_not_finite_is_left_out_of_the_curves(tmp_path: Path):
    run = told(tmp_path / "run", LEVEL[:2], FALLS[:2], [1.0, float("nan")], test=None)
    (loss, *_) = figures_in(skipwise.report(run).read_text())
    assert loss["data"][0]["y"] == [1.0] * 10


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"is not a run: it has no experiment\.yaml"):
        skipwise.report(tmp_path)


def test_a_damaged_file_of_a_run_is_named_with_what_to_do(tmp_path: Path):
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS)
    journal, evidence = run / "metrics.jsonl", run / "evidence.json"
    before = journal.read_bytes()
    for wrong in (b"{}", b"5", b'{"event": "step"}', b'{"event": "st', b"\xff"):
        journal.write_bytes(b"\n".join([*before.splitlines()[:2], wrong, b""]))
        with pytest.raises(ValueError, match=r"metrics\.jsonl, line 3 is no event.*give back a c"):
            skipwise.report(run)
    journal.write_bytes(before)
    for wrong in ("{}", "5", "", '{"parts": '):
        evidence.write_text(wrong)
        with pytest.raises(
            ValueError, match=r"evidence\.json was changed.*give back a copy, or del"
        ):
            skipwise.report(run)
    evidence.unlink()
    assert skipwise.report(run).is_file()


def test_a_report_is_written_without_torch(tmp_path: Path):
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS)
    code = f"import sys, skipwise; skipwise.report({str(run)!r}); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_record_shows_itself_in_a_notebook(tmp_path: Path):
    run = skipwise.train(
        str(table(tmp_path / "x.npz")), TINY, steps=4, batch_size=16, out="run", quiet=True
    )
    shown = run._repr_html_()
    assert shown is not None
    assert "<polyline" in shown
    assert "script" not in shown
    assert dataclasses.replace(run, path="gone")._repr_html_() is None


def test_the_old_journal_of_a_step_is_read(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"event": "step", "step": 1, "epoch": 0.1, "loss": 2.0, "rate": 0.1,'
        ' "gradient_norm": 1.0, "examples": 8, "seconds": 0.1}\n'
    )
    (step,) = read_journal(path)
    assert step.step == 1
    assert read_run(told(tmp_path / "run", LEVEL, FALLS, FALLS)).taken == 80
