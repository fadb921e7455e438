"""An interrupted and resumed run equals an uninterrupted one bit for bit.

Of every strategy and every connection.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import skipwise
from skipwise import strategies
from skipwise.connections import ConnectionDescription, StochasticDepth
from skipwise.data import Arrays, Flip, PadCrop, Shares
from skipwise.experiment import Experiment, compose
from skipwise.networks import resnet20
from skipwise.records import EvaluationRecord, StepRecord, read_journal
from skipwise.runs import begin, experiment_of, go_on
from skipwise.training import Step, load_checkpoint
from skipwise.weights import read_tensors
from tests.references import CONNECTIONS, rings_file

NAMED = [vars(strategies)[name]() for name in ("sgd", "momentum", "nesterov", "adam", "adamw")]
EVERY = [make() for make in strategies.named_strategies().values()]
NOISY = dataclasses.replace(
    resnet20(), width=4, blocks=(1, 1), connection=StochasticDepth(survival=0.6)
)


def an_experiment(tmp_path: Path, **changes) -> Experiment:
    path = rings_file(tmp_path / "rings.npz")
    settings = {
        "steps": 14,
        "batch_size": 32,
        "augmentation": (PadCrop(padding=1), Flip()),
        **changes,
    }
    network, strategy = settings.pop("network", NOISY), settings.pop("strategy", NAMED[2])
    return compose(str(path), network, strategy, **settings)[0]


def finished(experiment: Experiment, folder: Path) -> dict:
    for _ in begin(experiment, experiment.data.load(), folder).events():
        pass
    return load_checkpoint(folder / "last.ckpt")


def cut_and_resumed(experiment: Experiment, folder: Path, at: int) -> dict:
    session = begin(experiment, experiment.data.load(), folder)
    for event in session.events():
        if isinstance(event, Step) and event.step == at:
            session.save()
        if isinstance(event, Step) and event.step == at + 2:
            break  # two more steps were taken, and are lost
    torch.rand(100)  # a new process has other random numbers
    for _ in go_on(folder)[0].events():
        pass
    return load_checkpoint(folder / "last.ckpt")


def assert_same(a: Any, b: Any) -> None:
    """Assert that two trees of dictionaries, lists, tensors and numbers are equal bit for bit."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name, mine in a.items():
            assert_same(mine, b[name])
    elif isinstance(a, list | tuple):
        for mine, other in zip(a, b, strict=True):
            assert_same(mine, other)
    else:
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def assert_equal(a: dict, b: dict) -> None:
    for name, value in a["run"]["model"].items():
        assert torch.equal(value, b["run"]["model"][name]), name
    assert_same(a["run"]["optimiser"], b["run"]["optimiser"])
    assert a["best"] == b["best"]


def steps_in(folder: Path) -> list[int]:
    return [e.step for e in read_journal(folder / "metrics.jsonl") if isinstance(e, StepRecord)]


@pytest.mark.parametrize("strategy", EVERY, ids=lambda s: s.name)
def test_every_strategy_resumes_exactly(strategy, tmp_path: Path):
    clip = 1.0 if strategy.optimiser.can_skip else None  # a line search takes none
    strategy = dataclasses.replace(strategy, clip_norm=clip, label_smoothing=0.1)
    experiment = an_experiment(tmp_path, strategy=strategy)
    assert_equal(
        finished(experiment, tmp_path / "a"), cut_and_resumed(experiment, tmp_path / "b", 6)
    )
    assert steps_in(tmp_path / "a") == steps_in(tmp_path / "b") == list(range(1, 15))
    best = [read_tensors(tmp_path / run / "best.safetensors")[0] for run in "ab"]
    assert all(torch.equal(value, best[1][name]) for name, value in best[0].items())


@pytest.mark.parametrize("connection", CONNECTIONS, ids=repr)
def test_every_connection_resumes_exactly(connection: ConnectionDescription, tmp_path: Path):
    experiment = an_experiment(
        tmp_path, network=dataclasses.replace(NOISY, connection=connection), parts=2
    )
    assert_equal(
        finished(experiment, tmp_path / "a"), cut_and_resumed(experiment, tmp_path / "b", 9)
    )


def test_the_noise_does_not_depend_on_how_a_batch_is_cut(tmp_path: Path):
    """Without batch statistics two parts drop the same branches as one."""
    from skipwise.randomness import example_keys, examples, uniform_per_example

    keys = example_keys(0, 3, torch.arange(10))
    with examples(keys):
        whole = uniform_per_example(4, 10, torch.device("cpu"))
    parts = []
    for part in keys.split(3):
        with examples(part):
            parts.append(uniform_per_example(4, len(part), torch.device("cpu")))
    assert torch.equal(whole, torch.cat(parts))


def test_a_finished_run_can_be_extended_and_goes_on_as_if_it_had_not_ended(tmp_path: Path):
    short = an_experiment(
        tmp_path, strategy=dataclasses.replace(NAMED[2], schedule=strategies.Constant())
    )
    finished(short, tmp_path / "a")
    longer = finished(dataclasses.replace(short, steps=20), tmp_path / "b")
    for _ in go_on(tmp_path / "a", steps=20)[0].events():
        pass
    assert_equal(load_checkpoint(tmp_path / "a" / "last.ckpt"), longer)
    assert experiment_of(tmp_path / "a").steps == 20
    assert steps_in(tmp_path / "a") == list(range(1, 21))


def test_a_run_goes_on_with_a_changed_strategy(tmp_path: Path):
    """Options belong to the strategy, not to the checkpoint: decay of a resumed run is the new."""
    made = an_experiment(tmp_path, strategy=strategies.sgd())
    finished(made, tmp_path / "a")
    still = dataclasses.replace(strategies.sgd(), peak_lr=1e-9, weight_decay=0.25)
    session, _ = go_on(tmp_path / "a", settings={"strategy": still}, steps=20)
    assert {g["weight_decay"] for g in session.run.optimiser.param_groups} == {0.0, 0.25}
    before = [p.detach().clone() for p in session.run.model.parameters()]
    for _ in session.events():
        pass
    for old, new in zip(before, session.run.model.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=1e-6)
    assert experiment_of(tmp_path / "a").strategy == still


def test_a_finished_run_resumed_without_a_length_stays_as_it_is(tmp_path: Path):
    before = finished(an_experiment(tmp_path), tmp_path / "a")
    journal = (tmp_path / "a" / "metrics.jsonl").read_text()
    for _ in go_on(tmp_path / "a")[0].events():
        pass
    assert_equal(before, load_checkpoint(tmp_path / "a" / "last.ckpt"))
    kept = (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()
    # The last line is the test score, which is measured again: its seconds differ.
    assert kept[:-1] == journal.splitlines()[:-1]


def test_an_early_stopped_run_stays_stopped_and_can_be_extended(tmp_path: Path):
    frozen = dataclasses.replace(NAMED[0], peak_lr=1e-12, schedule=strategies.Constant())
    still = dataclasses.replace(NOISY, connection=StochasticDepth(survival=1.0))
    experiment = an_experiment(
        tmp_path, strategy=frozen, network=still, epochs=40.0, steps=None, patience=3
    )
    state = finished(experiment, tmp_path / "a")
    stopped = state["run"]["step"]
    assert stopped < 40 * 6
    for _ in go_on(tmp_path / "a")[0].events():
        pass
    assert load_checkpoint(tmp_path / "a" / "last.ckpt")["run"]["step"] == stopped
    for _ in go_on(tmp_path / "a", steps=stopped + 3)[0].events():
        pass
    assert load_checkpoint(tmp_path / "a" / "last.ckpt")["run"]["step"] == stopped + 3


def test_a_run_killed_before_its_first_save_begins_again(tmp_path: Path):
    experiment = an_experiment(tmp_path)
    whole = finished(experiment, tmp_path / "a")
    begin(experiment, experiment.data.load(), tmp_path / "b").journal.close()
    assert not (tmp_path / "b" / "last.ckpt").exists()
    for _ in go_on(tmp_path / "b")[0].events():
        pass
    assert_equal(whole, load_checkpoint(tmp_path / "b" / "last.ckpt"))


def test_a_run_whose_checkpoints_are_gone_is_refused_and_stays_as_it_is(tmp_path: Path):
    finished(an_experiment(tmp_path), tmp_path / "a")
    for path in (tmp_path / "a").glob("*.ckpt"):
        path.unlink()
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    with pytest.raises(ValueError, match="has a history but no checkpoint"):
        go_on(tmp_path / "a", steps=30)
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == before


def test_a_run_is_saved_before_its_first_step(tmp_path: Path):
    experiment = an_experiment(tmp_path)
    events = begin(experiment, experiment.data.load(), tmp_path / "a").events()
    next(event for event in events if isinstance(event, Step))
    assert load_checkpoint(tmp_path / "a" / "last.ckpt")["run"]["step"] == 0


def test_data_that_changed_are_noticed(tmp_path: Path):
    experiment = an_experiment(tmp_path)
    finished(experiment, tmp_path / "a")
    rings_file(tmp_path / "rings.npz", examples=245)
    with pytest.raises(ValueError, match=r"the data of .* changed since it was trained"):
        go_on(tmp_path / "a", steps=30)


def test_less_than_was_taken_is_refused(tmp_path: Path):
    finished(an_experiment(tmp_path), tmp_path / "a")
    with pytest.raises(ValueError, match="has taken 14 steps already, more than the 5 asked for"):
        go_on(tmp_path / "a", steps=5)


def test_a_users_own_data_with_noise_from_anywhere_resumes_exactly(tmp_path: Path):
    from tests.data.test_own import Blobs

    whole = skipwise.train(Blobs(), steps=12, batch_size=16, out=str(tmp_path / "a"))
    experiment, dataset = compose(Blobs(), None, None, steps=12, batch_size=16)
    session = begin(experiment, dataset, tmp_path / "b")
    for event in session.events():
        if isinstance(event, Step) and event.step == 5:
            session.save()
            break
    resumed = skipwise.resume(str(tmp_path / "b"), data=Blobs())
    assert_equal(
        load_checkpoint(tmp_path / "a" / "last.ckpt"), load_checkpoint(tmp_path / "b" / "last.ckpt")
    )
    assert whole.test is not None
    assert resumed.test is not None
    assert whole.test.metrics == resumed.test.metrics


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", "from skipwise.cli import main; main()", *words]


def started(tmp_path: Path, name: str) -> subprocess.Popen:
    words = "--network resnet20 --set network.width=4 --steps 120 --batch-size 32".split()
    words += "--set network.connection=StochasticDepth --set save_seconds=0.3".split()
    program = command("train", str(tmp_path / "rings.npz"), *words, "--out", str(tmp_path / name))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(program, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for(path: Path, process: subprocess.Popen, size: int = 1) -> None:
    deadline = time.monotonic() + 120
    while not (path.exists() and path.stat().st_size >= size):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.processes
@pytest.mark.xdist_group("processes")
def test_a_killed_run_resumes_exactly_and_a_signalled_one_says_how(tmp_path: Path):
    rings_file(tmp_path / "rings.npz")
    whole = started(tmp_path, "whole")
    assert (whole.communicate()[0], whole.returncode) == (None, 0)
    killed = started(tmp_path, "killed")
    wait_for(tmp_path / "killed" / "last.ckpt", killed)
    wait_for(tmp_path / "killed" / "metrics.jsonl", killed, size=2000)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    for number, name in ((signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM")):
        stopped = started(tmp_path, name)
        wait_for(tmp_path / name / "metrics.jsonl", stopped, size=2000)
        stopped.send_signal(number)
        told = stopped.communicate()[1].splitlines()[-1]
        assert stopped.returncode == 128 + number
        assert told.startswith(
            f"skipwise: stopped by {name}; the run in {tmp_path / name} is saved; "
            "go on with: skipwise resume"
        )
    for name in ("killed", "SIGINT", "SIGTERM"):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(
            command("resume", str(tmp_path / name), "--quiet"), check=True, env=environment
        )
        assert_equal(
            load_checkpoint(tmp_path / "whole" / "last.ckpt"),
            load_checkpoint(tmp_path / name / "last.ckpt"),
        )
        assert steps_in(tmp_path / name) == list(range(1, 121))


def test_a_large_validation_part_is_looked_at_so_seldom_that_training_sees_as_many(tmp_path: Path):
    data = Arrays(path=str(rings_file(tmp_path / "rings.npz")), shares=Shares(validation=0.7))
    made = compose(data, NOISY, epochs=9, batch_size=32)[0]  # 57 to train, 135 held
    finished(made, tmp_path / "a")
    events = read_journal(tmp_path / "a" / "metrics.jsonl")
    steps = [e.step for e in events if isinstance(e, EvaluationRecord) and e.part == "validation"]
    assert [round(step * 32 / 57) for step in steps] == [3, 6, 9]
