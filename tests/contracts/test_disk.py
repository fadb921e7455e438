"""A full or read-only disk: one sentence, exit code 2, the save before stays, the run can go on."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skipwise.training import load_checkpoint
from tests.references import rings_file

PROGRAM = [sys.executable, "-c", "from skipwise.cli import main; main()"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("processes")]


def call(*words: str, largest_file: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command, perhaps where no file may grow beyond a size, as on a full disk."""

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))

    return subprocess.run(
        [*PROGRAM, *words], capture_output=True, text=True, env=ENVIRONMENT, preexec_fn=limit
    )


def test_a_full_disk_loses_nothing(tmp_path: Path):
    rings = str(rings_file(tmp_path / "rings.npz"))
    words = ("train", rings, "--set", "network.width=8", "--epochs", "2", "--quiet")
    assert call(*words, "--out", "whole").returncode == 0
    full = call(*words, "--out", "full", largest_file=100_000)
    assert full.returncode == 2
    assert "the run cannot be saved in full: " in full.stderr
    assert "then: skipwise resume full" in full.stderr
    assert len(full.stderr.strip().splitlines()) == 1
    assert not [p.name for p in Path("full").iterdir() if "draft" in p.name]
    assert call("resume", "full", "--quiet").returncode == 0
    states = [load_checkpoint(Path(run, "last.ckpt"))["run"]["model"] for run in ("whole", "full")]
    assert all(value.equal(states[1][name]) for name, value in states[0].items())


def test_a_full_disk_leaves_the_save_before(tmp_path: Path):
    rings = str(rings_file(tmp_path / "rings.npz"))
    words = ("train", rings, "--set", "network.width=8", "--epochs", "1", "--out", "run")
    assert call(*words).returncode == 0
    before = Path("run/last.ckpt").read_bytes()
    assert call("resume", "run", "--epochs", "3", largest_file=100_000).returncode == 2
    assert Path("run/last.ckpt").read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="a read-only mount needs root")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_a_read_only_disk_is_one_sentence(tmp_path: Path):
    rings = str(rings_file(tmp_path / "rings.npz"))
    assert call("train", rings, "--steps", "1", "--out", "here/run").returncode == 0
    mount = 'mount --bind here here && mount -o remount,ro,bind here && exec "$@"'
    program = ["unshare", "--mount", "sh", "-c", mount, "sh", *PROGRAM]
    again = ("resume", "here/run", "--steps", "3")
    anew = ("train", rings, "--steps", "1", "--out", "here/new")
    for words in (again, anew):
        done = subprocess.run([*program, *words], capture_output=True, text=True)
        if "mount" in done.stderr:
            pytest.skip(f"this machine does not let root mount: {done.stderr.strip()}")
        assert done.returncode == 2
        assert "Read-only file system" in done.stderr
        told = "make room or rights" if words is again else "name another folder"
        assert told in done.stderr
        assert "Traceback" not in done.stderr
