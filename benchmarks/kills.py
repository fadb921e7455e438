"""How many of N runs, killed with SIGKILL at random moments and resumed, end with equal weights?

One run is trained to its end; then, N times, the same run is started, killed at a random moment
between the first sight of its folder and its end, and resumed. Compared are all parameters, buffers
and optimiser states, by ``torch.equal``, and that ``metrics.jsonl`` holds each step once.
Stochastic depth and augmentation are on. Run it: ``python benchmarks/kills.py --count 50``.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from skipwise.records import StepRecord, read_journal
from skipwise.training import load_checkpoint, newest_checkpoint

STEPS = 200
PROGRAM = [sys.executable, "-c", "from skipwise.cli import main; main()"]
NOISE = ("--set", "network.connection=StochasticDepth", "--set", "save_seconds=0.5")
RUN = ("train", "digits", "--steps", str(STEPS), "--quiet", *NOISE)


def run(folder: Path, seconds: float | None = None) -> bool:
    """Train in a process of its own, kill it after so many seconds, and give whether it was."""
    process = subprocess.Popen([*PROGRAM, *RUN, "--out", str(folder)], stdout=subprocess.DEVNULL)
    if seconds is not None:
        while not (folder / "experiment.yaml").exists() and process.poll() is None:
            time.sleep(0.01)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def tensors(state: Any, path: str = "") -> dict[str, Any]:
    """Give all tensors of a checkpoint by their path."""
    if isinstance(state, torch.Tensor):
        return {path: state}
    if isinstance(state, dict):
        return {
            k: v
            for name, inner in state.items()
            for k, v in tensors(inner, f"{path}/{name}").items()
        }
    return {}


def is_equal(folder: Path, whole: Path) -> bool:
    """Whether a run ended as the uninterrupted one did."""
    a, b = (tensors(load_checkpoint(f / "last.ckpt")["run"]) for f in (folder, whole))
    steps = [e.step for e in read_journal(folder / "metrics.jsonl") if isinstance(e, StepRecord)]
    return (
        a.keys() == b.keys()
        and all(torch.equal(a[k], b[k]) for k in a)
        and steps == list(range(1, STEPS + 1))
    )


def main() -> None:
    """Kill, resume, compare, count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument(
        "--span", type=float, default=7.0, help="seconds; about the length of the run"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments, killed, equal = random.Random(options.seed), 0, 0
    with tempfile.TemporaryDirectory() as above:
        whole = Path(above) / "whole"
        run(whole)
        while killed < options.count:
            folder = Path(above) / f"run-{killed}"
            moment = moments.uniform(0, options.span)
            if not run(folder, moment):
                print("ended before it was killed; not counted", flush=True)
                folder.rename(Path(above) / f"ended-{time.time()}")
                continue
            state, _ = newest_checkpoint(folder)
            at = state["run"]["step"] if state else 0
            subprocess.run(
                [*PROGRAM, "resume", str(folder), "--quiet"], check=True, stdout=subprocess.DEVNULL
            )
            killed, equal = killed + 1, equal + is_equal(folder, whole)
            print(
                f"{killed}: killed {moment:.2f} s after its start,"
                f" resumed from step {at}; equal so far {equal}",
                flush=True,
            )
    print(f"{equal} of {killed} ended with equal weights, buffers, optimiser states and journals")
    sys.exit(equal != killed)


if __name__ == "__main__":
    main()
