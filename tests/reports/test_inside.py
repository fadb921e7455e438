"""Inside the network: gradients that are not finite."""

from pathlib import Path

import numpy as np
import pytest

import skipwise
from skipwise.records import MeasureRecord, to_line
from skipwise.reports import read_run
from skipwise.reports.inside import branches, gradients, times
from tests.reports.runs import told
from tests.reports.test_verdict import FALLS, LEVEL


def with_norms(folder: Path, *measured: dict[str, float]) -> Path:
    """Write a run whose gradient was measured at steps 10, 20, …."""
    run = told(folder, LEVEL, FALLS, FALLS)
    records = [
        MeasureRecord(step=10 * n, name="gradient norm", values=values)
        for n, values in enumerate(measured, 1)
    ]
    with (run / "metrics.jsonl").open("a") as file:
        file.write("".join(map(to_line, records)))
    return run


def test_a_run_whose_gradients_are_all_nan_has_a_page(tmp_path: Path):
    run = with_norms(tmp_path / "run", {"a": np.nan, "b": np.nan})
    chart = gradients(read_run(run))
    assert chart is not None
    assert chart.words.endswith("spread over the run. None of them was finite.")
    assert "median" not in chart.words
    assert "Gradient by layer" in skipwise.report(run).read_text()


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_not_finite_counts_for_no_median_and_no_largest(tmp_path: Path, order: int):
    norms = [{"a": a, "b": np.nan} for a in (3.0, np.nan, 1.0, np.inf)[::order]]
    chart = gradients(read_run(with_norms(tmp_path / "run", *norms)))
    assert chart is not None
    (_, _, median, _, largest), broken = chart.table.rows
    assert (median, largest) == ("2", "3")
    assert "The median is largest in a (2)" in chart.words
    assert broken == ["b", *["not finite"] * 4]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_of_a_gpu_it_is_said_that_parts_of_a_step_are_times_of_commands(tmp_path: Path, device):
    run = told(tmp_path / "run", LEVEL, FALLS, FALLS, facts={"device": device})
    chart = times(read_run(run))
    assert chart is not None
    assert chart.words.startswith("A step took 10 ms (median).")
    assert ("parts are the times of giving commands" in chart.words) == (device == "cuda")


@pytest.mark.parametrize(("accuracies", "part"), [(LEVEL, "validation"), ([], "training")])
def test_whose_branches_were_measured_is_said(tmp_path: Path, accuracies: list, part: str):
    examples = {"train": 800, **({"validation": 400} if accuracies else {})}
    losses = FALLS[: len(accuracies)]
    facts = {"examples": examples}
    run = told(tmp_path / "run", accuracies, losses, losses, test=None, facts=facts)
    shares = MeasureRecord(step=10, name="branch share", values={"a": 0.5})
    with (run / "metrics.jsonl").open("a") as file:
        file.write(to_line(shares))
    chart = branches(read_run(run))
    assert chart is not None
    assert f"on at most 32 examples of the {part} part." in chart.words
