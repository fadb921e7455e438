"""Runs of several processes: killed, stopped, gone on with by fewer; what they say of errors."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import torch

from skipwise.experiment import build, compose
from skipwise.records import EvaluationRecord, MeasureRecord, NoteRecord, StepRecord, read_journal
from skipwise.runs import go_on
from skipwise.training import World, load_checkpoint
from tests.processes import HERE, children, finished, free_port, start, torchrun
from tests.references import rings_file

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("processes")]
WORDS = (
    "--network resnet20 --set network.width=4 --set network.blocks=[1,1] --batch-size 31"
    " --set network.connection=StochasticDepth --augment pad-crop,mixup --set save_seconds=0.2"
).split()


def begun(tmp_path: Path, name: str, *words: str, restarts: int = 0) -> subprocess.Popen:
    data = str(rings_file(tmp_path / "rings.npz"))
    more = (*WORDS, "--steps", "300", "--out", str(tmp_path / name), *words)
    return torchrun(2, "train", data, *more, restarts=restarts)


def wait_until_saved(folder: Path, process: subprocess.Popen, steps: int) -> None:
    deadline = time.monotonic() + 100
    while not ((folder / "last.ckpt").exists() and _step(folder) >= steps):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _step(folder: Path) -> int:
    try:
        return load_checkpoint(folder / "last.ckpt")["run"]["step"]
    except (OSError, ValueError):
        return 0


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "last.ckpt")["run"]["model"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    folder = tmp_path_factory.mktemp("whole")
    code, out, err = finished(begun(folder, "run"))
    assert code == 0, err
    return folder / "run", out, err


def test_one_process_writes_and_speaks(whole: tuple[Path, str, str]):
    folder, out, err = whole
    assert out.count("test: accuracy") == 1
    assert err.count(" test: accuracy") == err.count("run in ") == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ".job before.ckpt best.safetensors evidence.json experiment.yaml last.ckpt log.txt"
        " metrics.csv metrics.jsonl report.html".split()
    )
    events = list(read_journal(folder / "metrics.jsonl"))
    assert [e.step for e in events if isinstance(e, StepRecord)] == list(range(1, 301))
    tested = [e.examples for e in events if isinstance(e, EvaluationRecord) and e.part == "test"]
    assert tested == [50]
    assert (folder / "log.txt").read_text().count("session from step") == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_after_a_rank_was_killed_torchrun_goes_on_and_ends_with_the_same_weights(
    rank: int, tmp_path: Path, whole: tuple[Path, str, str]
):
    process = begun(tmp_path, "run", restarts=1)
    wait_until_saved(tmp_path / "run", process, steps=20)
    os.kill(children(process)[rank], signal.SIGKILL)
    code, _, err = finished(process)
    assert code == 0, err
    log = (tmp_path / "run" / "log.txt").read_text()
    assert log.count("session from step") == 2
    assert "session from step 0" in log.splitlines()[0]
    for name, value in weights(whole[0]).items():
        assert torch.equal(value, weights(tmp_path / "run")[name]), name


def test_another_job_is_refused_the_folder(whole: tuple[Path, str, str], tmp_path: Path):
    code, _, err = finished(begun(tmp_path, str(whole[0]), restarts=1))
    assert code != 0
    assert err.count("is not empty; resume the run in it") == 2  # once a start
    assert "skipwise/" not in err


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_stopped_run_goes_on_with_one_process_and_says_what_is_no_longer_exact(
    name: str, tmp_path: Path
):
    process = begun(tmp_path, "run")
    wait_until_saved(tmp_path / "run", process, steps=20)
    process.send_signal(signal.Signals[name])
    _, _, err = finished(process)
    assert err.count(f"stopped by {name}; the run in") == 1
    assert load_checkpoint(tmp_path / "run" / "last.ckpt")["processes"] == 2
    taken = _step(tmp_path / "run")
    session, _ = go_on(tmp_path / "run", steps=taken + 3)
    notes = [e.text for e in session.events() if isinstance(e, NoteRecord)]
    assert notes[0].startswith("the run had 2 processes and goes on with 1: from here on it")
    assert notes[0] in (tmp_path / "run" / "log.txt").read_text()
    assert load_checkpoint(tmp_path / "run" / "last.ckpt")["processes"] == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--time", "6s", "--set", "strategy.averaging=EMA"), "fit into 6 seconds"),
        (("--patience", "2"), "stopped early: 2 evaluations without a better one"),
        (("--shard", "--set", "strategy.clip_norm=1.0"), "normalises by the statistics of its own"),
    ],
)
def test_all_processes_take_the_decisions_of_the_first(words: tuple, why: str, tmp_path: Path):
    data = str(rings_file(tmp_path / "rings.npz"))
    length = () if "--time" in words else ("--steps", "200")
    more = ("--json", "--set", "save_seconds=0.2", "--out", "run")
    code, out, err = finished(torchrun(2, "train", data, *WORDS[:6], *length, *words, *more))
    assert code == 0, err
    assert json.loads(out)["finished"]
    notes = [e.text for e in read_journal(Path("run/metrics.jsonl")) if isinstance(e, NoteRecord)]
    assert any(why in note for note in notes), notes


def told(ranks: int, *words: str) -> str:
    """Run processes that fail, and give the one sentence that they say beside torchrun's words."""
    code, _, err = finished(torchrun(ranks, *words))
    said = [line for line in err.splitlines() if line.startswith("skipwise: ")]
    assert (code, len(said)) == (1, 1), err
    assert "exitcode  : 2" in err
    assert "skipwise/training" not in err  # no traceback of ours
    return said[0]


def test_more_processes_than_examples_are_refused(tmp_path: Path):
    data = str(rings_file(tmp_path / "rings.npz"))
    line = told(2, "train", data, "--batch-size", "1")
    assert "a batch of 1 is too small for 2 processes; start at most 1" in line
    experiment, dataset = compose(data, batch_size=128)
    with pytest.raises(ValueError, match="the validation part has 20 examples, too few for 30"):
        build(experiment, dataset, world=World(size=30))


def test_what_several_cannot_do_is_said_in_one_sentence(tmp_path: Path):
    data = str(rings_file(tmp_path / "rings.npz"))
    assert "--sync-norms needs GPUs" in told(2, "train", data, "--sync-norms")
    assert "evaluate works in one process" in told(2, "evaluate", "runs/none")
    assert "a batch of 5 cannot be cut into 3 parts on each of 2 processes" in told(
        2, "train", data, "--batch-size", "5", "--parts", "3"
    )


def test_an_error_of_one_ends_all_and_is_said_once(tmp_path: Path):
    (tmp_path / "one_breaks.py").write_text(
        "import os, torch\n"
        "class Data(torch.utils.data.Dataset):\n"
        "    calls = 0\n"
        "    def __len__(self): return 60\n"
        "    def __getitem__(self, n):\n"
        "        self.calls += 1\n"
        "        if self.calls > 500 and os.environ['RANK'] == '1':\n"
        "            raise ValueError('an example is broken here')\n"
        "        return torch.full((3, 8, 8), n / 60), n % 2\n"
    )
    line = told(2, "train", "one_breaks:Data", *WORDS[:6], "--batch-size", "8", "--steps", "900")
    place = tmp_path / "one_breaks.py"
    assert line == f"skipwise: an example is broken here ({place}, line 8)"
    assert load_checkpoint(next(tmp_path.glob("runs/*/last.ckpt")))["run"]["step"] > 10


def test_a_missing_process_is_not_waited_for_without_end():
    script = (
        "from datetime import timedelta; from skipwise.training import join\n"
        "try: join(within=timedelta(seconds=3))\n"
        "except ValueError as error: print(error)"
    )
    began, port = time.monotonic(), free_port()
    for rank in range(2):
        code, out, err = finished(start(rank, 2, port, "-c", script))
        assert (code, "did not meet the others" in out) == (0, True), (out, err)
    assert time.monotonic() - began < 60


def test_a_port_that_is_taken_is_named():
    with socket.socket() as other:
        other.bind((HERE, 0))
        other.listen()
        port = other.getsockname()[1]
        code, _, err = finished(start(0, 2, port, "-m", "skipwise", "train", "digits"))
    assert code == 2
    (line,) = err.splitlines()
    assert line.startswith(f"skipwise: the port of {HERE}:{port} is taken; set MASTER_PORT")


def test_a_killed_process_takes_the_others_with_it_in_one_sentence(tmp_path: Path):
    data, port = str(rings_file(tmp_path / "rings.npz")), free_port()
    words = ("-m", "skipwise", "train", data, *WORDS, "--steps", "3000", "--quiet")
    first, second = (start(n, 2, port, *words, "--out", str(tmp_path / "run")) for n in range(2))
    wait_until_saved(tmp_path / "run", first, steps=20)
    second.kill()
    code, _, err = finished(first, seconds=30)
    assert (code, len(err.splitlines())) == (2, 1), err
    assert "another process of this run ended, so this one ends too; what was saved is" in err
    second.communicate()


def test_the_first_of_several_processes_watches_and_changes_nothing(
    whole: tuple[Path, str, str], tmp_path: Path
):
    watch = "gradients:every=100,updates:every=100,curvature:every=150"
    code, _, err = finished(begun(tmp_path, "run", "--watch", watch))
    assert code == 0, err
    for name, value in weights(whole[0]).items():
        assert torch.equal(value, weights(tmp_path / "run")[name]), name
    events = [
        e for e in read_journal(tmp_path / "run/metrics.jsonl") if isinstance(e, MeasureRecord)
    ]
    assert [e.step for e in events if e.name == "watch gradients"] == [0, 100, 200, 300]
    assert [e.step for e in events if e.name == "watch updates"] == [100, 200, 300]


def test_shares_of_parameters_are_not_watched(tmp_path: Path):
    data = str(rings_file(tmp_path / "rings.npz"))
    words = (*WORDS[:6], "--steps", "9", "--shard", "--watch", "gradients", "--out", "run")
    assert "--shard leaves each process a share of them" in told(2, "train", data, *words)
