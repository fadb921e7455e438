"""A Ray cluster does what this machine does, also when a node goes away in the middle."""

import dataclasses
import os
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from skipwise.records import StepRecord, read_journal
from skipwise.studies.launchers import FAILED, FINISHED, REPEATED, STOPPED, Machine, Task
from skipwise.studies.plan import opened, planned
from skipwise.studies.telling import Progress
from tests.studies.small import PATHS, small_study, weights_below

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.xdist_group("processes"),
    # Ray leaves sockets and files to its own threads.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch):
    """A head without processors, and two nodes with one each."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", PATHS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    small: dict[str, Any] = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small}
    )
    nodes = [cluster.add_node(num_cpus=1, **small) for _ in range(2)]
    yield cluster, nodes
    ray.shutdown()
    cluster.shutdown()


def test_a_node_that_goes_away_loses_nothing(cluster, tmp_path: Path):
    from skipwise.studies.launchers.ray import Cluster

    running, nodes = cluster
    study, dataset = small_study(tmp_path, steps=150, seeds=1)
    study = dataclasses.replace(
        study, experiment=dataclasses.replace(study.experiment, save_seconds=0.05)
    )
    plan = opened(planned(study, dataset, tmp_path / "there", threads=1))
    tasks = plan.tasks(reports=False)
    launcher = Cluster(address=running.address, threads=1)
    states, removed, told = [], False, []
    for news in launcher.launch(tasks, []):
        if news.steps:
            told.append(news)
        begun = list((tmp_path / "there").glob("runs/*/last.ckpt"))
        if len(begun) == 2 and not removed and not states:
            running.remove_node(nodes[0], allow_graceful=False)
            removed = True
        if news.outcome is not None:
            states.append(news.outcome.state)
    assert removed
    # Steps are told while a run goes, of both arms.
    assert {news.task.arm for news in told if news.task} == {task.arm for task in tasks}
    assert {news.steps for news in told} == {150}
    assert all(0 < news.step <= 150 for news in told)
    assert sorted(states) == [FINISHED, FINISHED, REPEATED]
    for task in tasks:
        assert _steps(task) == list(range(1, 151))
    here = opened(planned(study, dataset, tmp_path / "here", threads=1))
    with closing(Machine()) as machine:
        assert list(machine.launch(here.tasks(reports=False), []))
    assert weights_below(tmp_path / "there") == weights_below(tmp_path / "here")


def test_only_runs_that_have_a_node_are_told_as_running(cluster, tmp_path: Path):
    from skipwise.studies.launchers.ray import Cluster

    study, dataset = small_study(tmp_path, steps=100, seeds=3)
    tasks = opened(planned(study, dataset, tmp_path / "s", threads=1)).tasks(reports=False)
    launcher, running = Cluster(address=cluster[0].address, threads=1), [0]
    progress = Progress(tasks, title="study")
    for news in launcher.launch(tasks, []):
        progress.take(news)
        running.append(len(progress.running))
    assert (max(running), progress.jobs, launcher.jobs) == (2, 2, 2)
    assert progress.rows["sgd"].ended == progress.rows["momentum"].ended == 3


def test_a_run_that_no_node_could_do_and_a_head_that_goes_are_one_sentence_each(
    cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from skipwise.studies.launchers import nodes
    from skipwise.studies.launchers.ray import Cluster

    study, dataset = small_study(tmp_path, steps=3000, seeds=1)
    tasks = opened(planned(study, dataset, tmp_path / "s", threads=1)).tasks(reports=False)
    with pytest.raises(ValueError, match="no node of the Ray cluster has the 2 processors"):
        list(Cluster(address=cluster[0].address, threads=2).launch(tasks, []))
    monkeypatch.setattr(nodes, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(nodes, "PATIENCE_SECONDS", 2.0)
    news = Cluster(address=cluster[0].address, threads=1).launch(tasks, [])
    next(told for told in news if told.steps)
    cluster[0].head_node.kill_gcs_server(check_alive=False)
    with pytest.raises(ValueError, match=r"no longer answers.*what was saved is kept"):
        list(news)


def test_a_node_without_the_package_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("ray")
    from skipwise.studies.launchers.ray import Cluster

    (tmp_path / "there" / "skipwise").mkdir(parents=True)
    (tmp_path / "there" / "skipwise" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'skipwise'\")"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "there"))
    study, dataset = small_study(tmp_path, seeds=1)
    tasks = planned(study, dataset, tmp_path / "s", threads=1).tasks(reports=False)
    with closing(Cluster(address="local")) as launcher:
        news = launcher.launch(tasks, [])
        outcome = next(told.outcome for told in news if told.outcome is not None)
    assert (outcome.state, outcome.is_final) == (FAILED, True)
    assert "a node could not begin a run" in outcome.words
    assert "No module named 'skipwise'" in outcome.words


def test_a_signal_stops_the_runs_where_they_are_and_the_study_goes_on_from_there(
    cluster, tmp_path: Path
):
    from skipwise.studies.launchers.ray import Cluster

    running, _ = cluster
    study, dataset = small_study(tmp_path, steps=400, seeds=1)
    plan = opened(planned(study, dataset, tmp_path / "study", threads=1))
    tasks = plan.tasks(reports=False)
    launcher = Cluster(address=running.address, threads=1)
    signals: list[int] = []
    states = []
    for news in launcher.launch(tasks, signals):
        if not signals and len(list((tmp_path / "study").glob("runs/*/last.ckpt"))) == len(tasks):
            signals.append(signal.SIGINT)
        if news.outcome is not None:
            states.append(news.outcome.state)
    assert states == [STOPPED] * len(tasks)
    reached = [_steps(task)[-1] for task in tasks]
    assert all(0 < step < 400 for step in reached)
    states = [news.outcome.state for news in launcher.launch(tasks, []) if news.outcome is not None]
    assert states == [FINISHED] * len(tasks)
    assert [_steps(task) for task in tasks] == [list(range(1, 401))] * len(tasks)


def _steps(task: Task) -> list[int]:
    journal = Path(task.folder) / "metrics.jsonl"
    return [event.step for event in read_journal(journal) if isinstance(event, StepRecord)]


def test_where_a_node_does_not_see_the_folder_the_run_is_sent_back(tmp_path: Path):
    from skipwise.studies.launchers.launcher import mark_of
    from skipwise.studies.launchers.ray import carry_out_there

    pytest.importorskip("ray")
    study, dataset = small_study(tmp_path)
    task = planned(study, dataset, tmp_path / "unseen", threads=1).tasks(reports=False)[0]
    outcome, files = carry_out_there(task, 1)
    assert outcome.state == FINISHED
    assert not (tmp_path / "unseen").exists()
    assert list(files)[-1] == "outcome.json"
    for name, content in files.items():
        (tmp_path / "back" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "back" / name).write_bytes(content)
    assert mark_of(tmp_path / "back") == outcome
    assert {"metrics.jsonl", "best.safetensors", "last.ckpt"} <= set(os.listdir(tmp_path / "back"))
