"""Studies run: each run once, whatever happens; and the answer does not depend on who ran them."""

import dataclasses
import json
import os
import random
import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skipwise
from skipwise.comparison import headline, sheets
from skipwise.comparison.words import conclusion
from skipwise.data import Arrays, Own
from skipwise.records import StepRecord, read_journal
from skipwise.strategies import Constant
from skipwise.studies import carry_on
from skipwise.studies.launchers import FAILED, FINISHED, Machine, Task
from skipwise.studies.plan import opened, planned
from tests.references import rings_file
from tests.studies.small import (
    SETTINGS,
    ended,
    sgd,
    small_study,
    started,
    weights_below,
    with_network,
    with_steps,
)

QUIET: dict[str, Any] = {"quiet": True, "report": False}


def marks(folder: Path) -> dict[str, tuple[int, str]]:
    """Give when each run of a study ended, and what its journal holds."""
    found = {}
    for mark in folder.glob("runs/*/outcome.json"):
        journal = mark.with_name("metrics.jsonl").read_text()
        found[mark.parent.name] = (mark.stat().st_mtime_ns, journal)
    return found


@pytest.fixture
def here(tmp_path: Path):
    """A small study on data that are made in Python, which trains in this process."""
    study, dataset = small_study(tmp_path)
    parts = dataset.train
    pairs = [tuple(column[0] for column in parts.gather(_one(n))) for n in range(60)]
    data = Own(dataset=[(x.float() / 255, y) for x, y in pairs])
    experiment = dataclasses.replace(study.experiment, data=data)
    return dataclasses.replace(study, experiment=experiment), data.load()


def _one(number: int):
    import torch

    return torch.tensor([number])


def test_a_study_trains_every_run_once_and_is_compared(here, tmp_path: Path):
    study, dataset = here
    shown = carry_on(study, dataset, tmp_path / "s", **QUIET)
    assert {(a.arm, a.runs, a.missing) for a in shown.comparison.arms} == {
        ("sgd", 2, 0),
        ("momentum", 2, 0),
    }
    assert shown.comparison.pairs[0].verdict == "inconclusive"
    assert {p.name for p in (tmp_path / "s").iterdir()} >= {
        "study.yaml", "plan.json", "runs",
        "record.json", "comparison.json", "comparison.csv", "comparison.md", "comparison.tex",
        "arms.csv", "runs.csv",
    }  # fmt: skip
    said = str(shown)
    assert said.splitlines()[0] == headline(shown.comparison)
    assert said.endswith(f"study: {tmp_path / 's'}")
    tables = shown._repr_html_()
    assert tables.count("<tr>") == sum(len(sheet.rows) + 1 for sheet in sheets(shown.comparison))
    assert "<th>arm</th>" in tables
    assert "Conducted(" not in said + tables
    before = marks(tmp_path / "s")
    carry_on(study, dataset, tmp_path / "s", **QUIET)
    assert marks(tmp_path / "s") == before
    assert len(before) == 4


def test_a_diverged_run_is_a_result_and_no_error(here, tmp_path: Path):
    study, dataset = here
    wild = dataclasses.replace(
        sgd(), name="wild", peak_lr=1e38, schedule=Constant(), weight_decay=0.0
    )
    study = with_steps(dataclasses.replace(study, strategies=(sgd(), wild), seeds=1), 20)
    shown = carry_on(study, dataset, tmp_path / "s", **QUIET)
    assert {a.arm: a.diverged for a in shown.comparison.arms} == {"sgd": 0, "wild": 1}
    assert shown.failed == ()
    before = marks(tmp_path / "s")
    assert len(before) == 2
    carry_on(study, dataset, tmp_path / "s", **QUIET)
    assert marks(tmp_path / "s") == before


def test_trials_see_no_test_part_and_their_values_stand_in_the_runs(here, tmp_path: Path):
    study, dataset = here
    study = dataclasses.replace(study, trials=2, seeds=1)
    shown = carry_on(study, dataset, tmp_path / "s", **QUIET)
    journals = list((tmp_path / "s" / "tuning").glob("*/metrics.jsonl"))
    assert len(journals) == 4
    assert not any('"test"' in journal.read_text() for journal in journals)
    found = json.loads((tmp_path / "s" / "tuning.json").read_text())
    for name in ("sgd", "momentum"):
        trials = found[name]["trials"]
        best = max(trials, key=lambda trial: trial["score"])
        assert found[name]["settings"] == best["settings"]
        run = next((tmp_path / "s" / "runs").glob(f"{name}-seed-0-*"))
        assert f"peak_lr: {best['settings']['rate']}" in (run / "experiment.yaml").read_text()
    assert {curve.arm for curve in shown.comparison.tuning} == {"sgd", "momentum"}


@pytest.mark.processes
def test_two_jobs_give_what_one_gives_bit_for_bit(tmp_path: Path):
    study, dataset = small_study(tmp_path)
    for jobs in (1, 2):
        plan = opened(planned(study, dataset, tmp_path / f"s{jobs}", threads=1))
        with closing(Machine(jobs=jobs, threads=1)) as machine:
            ends = list(outcomes(machine, plan.tasks(reports=False)))
        assert ends == [FINISHED] * 4
    one, two = (weights_below(tmp_path / name) for name in ("s1", "s2"))
    assert one == two
    assert len(one) == 4
    scores = [
        sorted(
            (m.parent.name, json.loads(m.read_text())["score"])
            for m in (tmp_path / name).glob("runs/*/outcome.json")
        )
        for name in ("s1", "s2")
    ]
    assert scores[0] == scores[1]


def outcomes(machine: Machine, tasks: list[Task]):
    """Give the states of the ends that a launcher tells of."""
    for news in machine.launch(tasks, []):
        if news.outcome is not None:
            yield news.outcome.state


@pytest.mark.processes
def test_a_worker_that_is_killed_is_replaced_and_its_run_goes_on_from_its_save(tmp_path: Path):
    study, dataset = small_study(tmp_path, steps=200)
    study = dataclasses.replace(
        study, experiment=dataclasses.replace(study.experiment, save_seconds=0.05)
    )
    plan = opened(planned(study, dataset, tmp_path / "s", threads=1))
    task = plan.tasks(reports=False)[0]
    told = []
    with closing(Machine(jobs=1, threads=1)) as machine:
        for news in machine.launch([task], []):
            if news.step and not told:
                os.kill(worker_of(os.getpid()), signal.SIGKILL)
                told.append("killed")
            if news.outcome is not None:
                told.append(news.outcome.state)
                words = news.outcome.words
                assert news.outcome.state == FINISHED or "killed by SIGKILL" in words
    assert told == ["killed", "repeated", FINISHED]
    log = (Path(task.folder) / "log.txt").read_text()
    assert log.count("session from step") == 2
    steps = [
        e.step
        for e in read_journal(Path(task.folder) / "metrics.jsonl")
        if isinstance(e, StepRecord)
    ]
    assert steps == list(range(1, 201))


def worker_of(parent: int) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if b"skipwise.studies.working" in words and int(stat[1]) == parent:
                return int(entry.name)
    raise AssertionError("there is no worker")


@pytest.mark.processes
def test_a_run_whose_worker_dies_each_time_counts_as_failed_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(tmp_path)
    study, dataset = small_study(tmp_path)
    task = opened(planned(study, dataset, tmp_path / "s", threads=1)).tasks()[0]
    deadly = "import os, signal\ndef net(classes): os.kill(os.getpid(), signal.SIGKILL)\n"
    task = with_network(task, tmp_path, deadly)
    with closing(Machine()) as machine:
        ends = [n.outcome for n in machine.launch([task], []) if n.outcome is not None]
    assert [end.state for end in ends] == ["repeated", FAILED]
    assert ends[1].words == (
        "its process was killed by SIGKILL, as the system does where memory runs out"
    )


@pytest.mark.processes
def test_a_run_that_runs_out_of_memory_after_a_signal_is_not_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(tmp_path)
    study, dataset = small_study(tmp_path)
    task = planned(study, dataset, tmp_path / "s", threads=1).tasks(reports=False)[0]
    begun, signals, ends = tmp_path / "begun", list[int](), list[str]()
    code = f"""
import pathlib, signal, time
def net():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pathlib.Path({str(begun)!r}).touch()
    time.sleep(2)
    signal.signal(signal.SIGTERM, before)
    raise MemoryError
"""
    with closing(Machine()) as machine:
        for news in machine.launch([with_network(task, tmp_path, code)], signals):
            signals += [15] if begun.exists() and not signals else []
            ends += [news.outcome.state] if news.outcome is not None else []
    assert ends == [FAILED]


@pytest.mark.processes
def test_a_module_of_the_users_that_is_called_as_one_of_pythons_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "re.py").write_text("raise RuntimeError('this is not the module re')")
    (tmp_path / "colorsys.py").write_text("raise RuntimeError('no colours')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    study, dataset = small_study(tmp_path)
    task = opened(planned(study, dataset, tmp_path / "s", threads=1)).tasks(reports=False)[0]
    with closing(Machine(jobs=1, threads=1)) as machine:
        assert [*outcomes(machine, [task])] == [FINISHED]


@pytest.mark.processes
def test_the_last_words_of_a_worker_that_ends_are_told(tmp_path: Path):
    leaving = "import os, sys\ndef net():\n    print('no licence', file=sys.stderr, flush=True)\n"
    study, dataset = small_study(tmp_path)
    task = opened(planned(study, dataset, tmp_path / "s", threads=1)).tasks()[0]
    task = with_network(task, tmp_path, leaving + "    os._exit(3)\n")
    task = dataclasses.replace(task, is_rehearsal=True)
    with pytest.MonkeyPatch.context() as patch, closing(Machine()) as machine:
        patch.setattr(sys, "path", [*sys.path, str(tmp_path)])
        ends = [n.outcome for n in machine.launch([task], []) if n.outcome is not None]
    assert ends[-1].words == "its process ended with exit code 3: no licence"


@pytest.mark.slow
@pytest.mark.processes
def test_a_study_that_is_killed_anywhere_goes_on_and_repeats_nothing(tmp_path: Path):
    rings = str(rings_file(tmp_path / "rings.npz", 120))
    words = (
        rings, "--network", "resnet20", "--strategy", "sgd,momentum", "--seeds", "2",
        "--steps", "60", "--quiet", "--jobs", "1", *SETTINGS, "--set", "save_seconds=0.2",
    )  # fmt: skip
    assert ended(*words, "--out", "whole") == 0
    moments, done = random.Random(3), {}
    for _ in range(2):
        process = started(*words, "--out", "broken")
        while process.poll() is None and not list(Path("broken").glob("runs/*/last.ckpt")):
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 1.0))
        process.kill()
        process.communicate()
        now = marks(Path("broken"))
        assert {name: now[name] for name in done} == done
        done = now
    assert ended(*words, "--out", "broken") == 0
    now = marks(Path("broken"))
    assert {name: now[name] for name in done} == done
    assert weights_below(Path("broken")) == weights_below(Path("whole"))
    assert len(now) == 4
    for journal in Path("broken").glob("runs/*/metrics.jsonl"):
        steps = [e.step for e in read_journal(journal) if isinstance(e, StepRecord)]
        assert steps == list(range(1, 61))


@pytest.mark.processes
def test_a_signal_saves_every_run_and_says_the_line_that_goes_on(tmp_path: Path):
    rings = str(rings_file(tmp_path / "rings.npz", 120))
    words = (
        rings, "--network", "resnet20", "--strategy", "sgd,momentum", "--seeds", "1",
        "--steps", "5000", *SETTINGS,
    )  # fmt: skip
    process = started(*words, "--out", "s")
    while process.poll() is None and not list(Path("s").glob("runs/*/last.ckpt")):
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    last = err.strip().splitlines()[-1]
    assert last.endswith("every run is saved; go on with: skipwise compare s")
    assert "Traceback" not in err


def test_a_study_without_a_test_part_says_what_its_scores_are(tmp_path: Path):
    rings_file(tmp_path / "rings.npz", 120)
    stored = dict(np.load(tmp_path / "rings.npz"))
    x, y = stored["x"], stored["y"]
    np.savez(tmp_path / "val.npz", x=x[:80], y=y[:80], x_val=x[80:], y_val=y[80:])
    study, _ = small_study(tmp_path)
    data = Arrays(path=str(tmp_path / "val.npz"))
    experiment = dataclasses.replace(study.experiment, data=data)
    study = dataclasses.replace(study, experiment=experiment)
    shown = carry_on(study, data.load(), tmp_path / "s", **QUIET)
    said = " ".join(conclusion(shown.comparison))
    assert "There is no test part: scores are of validation data, which also chose" in said


def test_another_torch_is_refused(here, tmp_path: Path):
    study, dataset = here
    carry_on(study, dataset, tmp_path / "s", **QUIET)
    facts = json.loads((tmp_path / "s" / "plan.json").read_text())
    (tmp_path / "s" / "plan.json").write_text(json.dumps({**facts, "torch": "2.9.0"}))
    with pytest.raises(ValueError, match=r"was begun by torch 2\.9\.0 and this is"):
        carry_on(study, dataset, tmp_path / "s", **QUIET)


def test_a_whole_study_takes_nothing_beside_it(here):
    study, _ = here
    with pytest.raises(TypeError, match="a Study is whole"):
        skipwise.compare(study, seeds=20)
