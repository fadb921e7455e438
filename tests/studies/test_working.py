"""What goes wrong in a run ends that run; what no run could bear ends the study."""

import dataclasses
import sys
from pathlib import Path

import pytest

from skipwise.strategies import sgd, shampoo
from skipwise.studies.conduct import memory_warning
from skipwise.studies.launchers import DIVERGED, FAILED, FINISHED, Here, Machine, Outcome, Task
from skipwise.studies.plan import planned
from skipwise.studies.working import carry_out
from skipwise.tuning.trials import short_run
from tests.studies.small import small_study, with_network


@pytest.fixture
def task(tmp_path: Path) -> Task:
    study, dataset = small_study(tmp_path)
    return planned(study, dataset, tmp_path / "s", threads=1).tasks(reports=False)[0]


def ended(task: Task, error: str, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Give what becomes of a task whose network raises an error."""
    folder = Path(task.folder).parents[2]
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "users", raising=False)
    found = carry_out(with_network(task, folder, f"def net(): raise {error}\n"))
    assert found.state == FAILED
    return found


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("ConnectionError('the server is down')", "ConnectionError: the server is down ("),
        ("FileNotFoundError(2, 'No such file', 'mine')", "FileNotFoundError: [Errno 2] No such"),
        ("PermissionError(13, 'Permission denied', '/root/mine')", "PermissionError: [Errno 13]"),
        ("MemoryError()", "there is not enough memory; set a smaller --batch-size, or --set parts"),
        ("RuntimeError('CUDA out of memory. Tried to')", "there is not enough memory; set a"),
    ],
)
def test_an_error_within_one_run_is_its_own(task: Task, error: str, told: str, monkeypatch):
    found = ended(task, error, monkeypatch)
    assert found.words.startswith(told)
    assert not found.is_final


@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EROFS", "EFBIG", "EACCES"])
def test_a_disk_on_which_no_run_could_be_saved_ends_the_study(task: Task, code: str, monkeypatch):
    error = f"OSError(__import__('errno').{code}, 'no', {task.folder + '/last.ckpt'!r})"
    found = ended(task, error, monkeypatch)
    assert (found.words, found.is_final) == (f"no: {task.folder}/last.ckpt", True)


def test_a_rule_without_roots_counts_as_diverged_in_a_run_and_in_a_trial(tmp_path: Path):
    huge = dataclasses.replace(shampoo(), peak_lr=1e20)
    study, dataset = small_study(tmp_path, huge, sgd())
    found = carry_out(planned(study, dataset, tmp_path / "s", threads=1).tasks(reports=False)[0])
    assert (found.state, found.steps) == (DIVERGED, 2)
    assert "the update cannot be computed" in found.words
    assert short_run(study.experiment, dataset, rate=1e20, seed=0, steps=6).diverged


def test_data_that_changed_after_the_study_was_planned_are_refused(task: Task):
    found = carry_out(dataclasses.replace(task, digest="of others"))
    assert (found.state, found.words) == (FAILED, "the data changed since the study was planned")
    assert not Path(task.folder).exists()


def test_memory_that_is_too_small_is_told_for_one_job_too():
    outcomes = [Outcome(state=FINISHED, memory_bytes=n * 10**9) for n in (1, 3)]
    told = memory_warning(outcomes, Machine(jobs=4), 7 * 10**9)
    assert told.startswith("4 jobs need about 12.0 GB of memory, 7.0 GB are free; take --jobs 2")
    told = memory_warning(outcomes, Machine(), 2 * 10**9)
    assert told.startswith("1 job needs about 3.0 GB of memory, 2.0 GB are free; take a smaller")
    assert memory_warning(outcomes, Machine(jobs=2), 6 * 10**9) == ""
    assert memory_warning(outcomes, Machine(), None) == ""
    assert Machine().is_here
    assert not Here(carry_out=carry_out).is_here
