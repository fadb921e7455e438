"""Pictures decoded as they are used are those that are decoded once, and no process is left."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from skipwise.data import Batches, Flip, Folder, InMemory, PadCrop, in_order
from skipwise.data.pictures import Streamed
from skipwise.data.pictures.streamed import _spare_cores
from skipwise.experiment import compose
from skipwise.training import newest_checkpoint, with_own_statistics
from tests.cli.commands import fails
from tests.contracts.test_resume import NAMED, NOISY, assert_equal, cut_and_resumed, finished

CPU = torch.device("cpu")
WORDS = "--set network.width=4 --set network.blocks=[1,1] --batch-size 16 --memory 0".split()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    noise = np.random.default_rng(0)
    for n in range(90):
        path = tmp_path / "set" / "abc"[n % 3] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = noise.integers(0, 90, (12, 10 + n % 2, 3), dtype=np.uint8)
        picture[..., n % 3] += np.uint8(120)
        Image.fromarray(picture).save(path)
    return Folder(path=str(tmp_path / "set"))


def test_streamed_batches_are_those_of_the_memory_in_any_order(folder: Folder):
    held, streamed = (dataclasses.replace(folder, memory_bytes=b).load() for b in (10**9, 0))
    assert isinstance(held.train, InMemory)
    assert isinstance(streamed.train, Streamed)
    assert held.preprocessing == streamed.preprocessing
    a, b = (
        Batches(d.train, d.preprocessing, size=16, seed=3, augmentation=(PadCrop(),), device=CPU)
        for d in (held, streamed)
    )
    for step in (0, 1, 2, 7, 8, 3):
        for name, tensor in vars(a[step]).items():
            assert tensor is None or torch.equal(tensor, vars(b[step])[name]), (step, name)
    b.close()
    assert held.test is not None
    assert streamed.test is not None
    tests = [
        list(in_order(d, held.preprocessing, size=7, device=CPU))
        for d in (held.test, streamed.test)
    ]
    for mine, other in zip(*tests, strict=True):
        assert torch.equal(mine.inputs, other.inputs)
        assert torch.equal(mine.targets, other.targets)


def test_streaming_draws_no_random_number_of_the_caller(folder: Folder):
    data = dataclasses.replace(folder, memory_bytes=0).load()
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    next(data.train.stream([torch.arange(4)]))
    assert torch.equal(torch.rand(3), wanted)


def test_the_note_says_that_pictures_are_decoded_as_they_are_used(folder: Folder):
    notes = dataclasses.replace(folder, memory_bytes=0).load().notes
    assert any("90 pictures need 32.4 kB, more than --memory" in note for note in notes)


def test_the_digest_of_a_streamed_set_sees_names_sizes_and_labels(folder: Folder):
    streamed = dataclasses.replace(folder, memory_bytes=0)
    before = streamed.load().digest
    assert streamed.load().digest == before
    file = Path(folder.path, "a", "0.png")
    Image.new("RGB", (10, 12), (5, 6, 7)).save(file)
    changed = streamed.load().digest
    file.rename(Path(folder.path, "b", "0.png"))
    assert len({before, changed, streamed.load().digest}) == 3


def test_a_streamed_run_equals_the_one_from_memory_and_resumes_exactly(
    folder: Folder, tmp_path: Path
):
    made = [
        compose(
            dataclasses.replace(folder, memory_bytes=held),
            NOISY,
            NAMED[2],
            steps=14,
            batch_size=16,
            augmentation=(PadCrop(padding=1), Flip()),
        )[0]
        for held in (0, 10**9)
    ]
    whole = finished(made[0], tmp_path / "a")
    assert_equal(whole, cut_and_resumed(made[0], tmp_path / "b", 6))
    assert_equal(whole, finished(made[1], tmp_path / "c"))


def test_a_picture_that_breaks_later_is_named(folder: Folder):
    data = dataclasses.replace(folder, memory_bytes=0).load()
    for path in Path(folder.path).rglob("*.png"):
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(
        ValueError, match=r"\.png cannot be read as a picture: .*mend or remove it and train"
    ):
        next(data.train.stream([torch.arange(4)]))


def children(process: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == process and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def started(folder: Folder, out: Path, *words: str) -> subprocess.Popen:
    program = [sys.executable, "-c", "from skipwise.cli import main; main()", "train", folder.path]
    program += [*WORDS, "--set", "save_seconds=0.3", "--out", str(out), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        program, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def working(process: subprocess.Popen, file: Path) -> list[int]:
    """Wait until the run was saved while workers decode, and give these."""
    deadline = time.monotonic() + 120
    while not (file.exists() and children(process.pid)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(1.0)
    return children(process.pid)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="lists processes in /proc")
def test_statistics_leave_the_workers_of_the_training_alone(folder: Folder):
    data = dataclasses.replace(folder, memory_bytes=0).load()
    batches = Batches(data.train, data.preprocessing, size=16, seed=3, device=CPU)
    first, norm = batches[0], nn.BatchNorm2d(3)
    workers = set(children(os.getpid()))
    with_own_statistics(norm, batches, autocast=None)
    assert workers
    assert set(children(os.getpid())) == workers
    again = Batches(data.train, data.preprocessing, size=16, seed=3, device=CPU)
    assert torch.equal(batches[1].inputs, again[1].inputs)
    steps = range(-(-len(data.train) // 16))
    seen = torch.cat([again[step].inputs.double() for step in steps])
    torch.testing.assert_close(norm.running_mean, seen.mean((0, 2, 3)).float())
    for some in (batches, again):
        some.close()
    assert len(first) == 16


def test_beside_a_gpu_as_many_decode_as_this_process_may_use_and_sixteen_at_most(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    for processes, cores, workers in ((1, 6, 5), (2, 12, 5), (1, 64, 16), (8, 4, 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        assert _spare_cores() == workers


@pytest.mark.processes
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="lists processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_whole_group_saves_and_leaves_no_worker(
    folder: Folder, tmp_path: Path, number: signal.Signals
):
    run = started(folder, tmp_path / "run", "--steps", "100000")
    workers = working(run, tmp_path / "run" / "last.ckpt")
    assert workers
    os.killpg(run.pid, number)
    told = run.communicate(timeout=60)[1]
    if number != signal.SIGKILL:
        assert run.returncode == 128 + number, told
        assert f"stopped by {number.name}; the run in {tmp_path / 'run'} is saved" in told
        assert "Traceback" not in told
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    state, refused = newest_checkpoint(tmp_path / "run")
    assert state is not None
    assert not refused


def test_a_file_cut_short_is_skipped_before_the_training(folder: Folder):
    file = Path(folder.path, "a", "0.png")
    file.write_bytes(file.read_bytes()[:-40])  # its header is whole
    streamed = dataclasses.replace(folder, memory_bytes=0)
    with pytest.raises(ValueError, match=r"0\.png.*; mend or remove it and train.*--skip-bad"):
        streamed.load()
    data = dataclasses.replace(streamed, skip_bad=True).load()
    assert f"1 file that cannot be read was skipped: {file}" in data.notes
    assert isinstance(data.train, Streamed)


@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_held_out_file_cut_short_is_named_before_anything_trains(
    capsys, folder: Folder, command: str
):
    for n in range(4):
        path = Path(folder.path, "test", "ab"[n % 2], f"{n}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((12, 12), 90).save(path)
    Path(folder.path, "train").mkdir()
    for name in "abc":
        Path(folder.path, name).rename(Path(folder.path, "train", name))
    bad = Path(folder.path, "test", "b", "3.png")
    bad.write_bytes(bad.read_bytes()[:-40])  # its header is whole
    words = {"train": ("--steps", "2"), "compare": ("--strategy", "sgd,adam", "--steps", "2")}
    told = fails(capsys, command, folder.path, "--set", "data.memory_bytes=0", *words[command])
    assert f"{bad} cannot be read as a picture" in told
    assert "mend or remove it" in told
    assert not Path("runs").exists()
    assert not Path("studies").exists()
