"""Starting the processes that tests of several of them need."""

import os
import socket
import subprocess
import sys
from pathlib import Path

HERE = "127.0.0.1"
ROOT = str(Path(__file__).resolve().parent.parent)
PATHS = os.pathsep.join([ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return probe.getsockname()[1]


def start(rank: int, ranks: int, port: int, *words: str, **more: str) -> subprocess.Popen:
    """Start one process of several, as torchrun would."""
    named = {"RANK": rank, "WORLD_SIZE": ranks, "LOCAL_RANK": rank, "MASTER_PORT": port}
    environment = {
        **os.environ,
        **{name: str(value) for name, value in named.items()},
        "MASTER_ADDR": HERE,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": PATHS,
        **more,
    }
    return subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finished(process: subprocess.Popen, seconds: float = 120) -> tuple[int, str, str]:
    """Wait for a process and give its exit code, output and error output."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def together(ranks: int, *words: str) -> list[str]:
    """Run so many processes to their end, and give what they printed."""
    port = free_port()
    started = [start(rank, ranks, port, *words) for rank in range(ranks)]
    ended = [finished(process) for process in started]
    assert [code for code, _, _ in ended] == [0] * ranks, "\n".join(err for _, _, err in ended)
    return [out for _, out, _ in ended]


def torchrun(ranks: int, *words: str, restarts: int = 0) -> subprocess.Popen:
    """Start ``skipwise`` in so many processes, as a user would."""
    options = f"--standalone --nproc-per-node {ranks} --max-restarts {restarts} -m skipwise"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PATHS}
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *options.split(), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def children(process: subprocess.Popen) -> list[int]:
    """Give the numbers of the processes that torchrun started, by rank."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(number) for number in listed]
