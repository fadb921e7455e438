"""Where a run comes from: the machine has a name."""

import os
from pathlib import Path

import torch

import skipwise
from skipwise.reports import read_run
from skipwise.training.device import hardware
from tests.references import rings_file
from tests.watch.test_watch import TINY


def test_the_report_names_the_machine(tmp_path: Path):
    data = str(rings_file(tmp_path / "rings.npz"))
    run = skipwise.train(data, TINY, steps=2, batch_size=32, out="run", quiet=True)
    facts, here = read_run(Path(run.path)).facts, torch.device("cpu")
    page = (Path(run.path) / "report.html").read_text()
    assert facts["cores"] == os.cpu_count()
    if facts["device"] == "cpu":
        assert facts["hardware"] == hardware(here)
    assert f'<th scope="row">hardware</th><td>{facts["hardware"]}</td>' in page


def test_a_processor_has_the_name_that_the_system_gives_it(monkeypatch):
    told = "vendor_id\t: GenuineIntel\nmodel name\t: Some Processor @ 2 GHz\nflags: amx\n"
    monkeypatch.setattr("skipwise.training.device._processor", lambda: told)
    assert hardware(torch.device("cpu")) == "Some Processor @ 2 GHz"
    monkeypatch.setattr("skipwise.training.device._processor", lambda: "arm")
    assert hardware(torch.device("cpu"))
