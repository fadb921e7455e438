"""How many of N kills of a study lose or repeat anything?

A study of two strategies and two seeds on digits runs to its end. Then, N times, another that is
the same is killed with SIGKILL at a random moment, its workers left to themselves, and the same
command is given again. After each kill every run that had ended must be as it was, to the byte;
a study that has ended is compared with the first (weights by bytes, each step once in the journal)
and another begins. Every fourth kill may come while the program still starts; the others come after
a run was begun or gone on with. Run it: ``python benchmarks/study_kills.py --count 30``.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from skipwise.records import StepRecord, read_journal

STEPS = 60
WORDS = (
    *("compare", "digits", "--network", "resnet20", "--strategy", "sgd,momentum", "--seeds", "2"),
    *("--steps", str(STEPS), "--set", "network.width=4", "--set", "network.blocks=[1]"),
    *("--set", "save_seconds=0.2", "--no-report", "--quiet"),
)


def study(folder: Path, jobs: int, seconds: float | None = None, *, early: bool = False) -> bool:
    """Run or go on with the study, kill it after so many seconds, and give whether it was.

    The seconds count from its start if ``early``, else from when it trains.
    """
    program = [sys.executable, "-m", "skipwise", *WORDS, "--jobs", str(jobs), "--out", str(folder)]
    began = time.time()
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL)
    while seconds is not None and not early and process.poll() is None:
        if any(p.stat().st_mtime > began for p in folder.glob("runs/*/log.txt")):
            break
        time.sleep(0.02)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    code = process.wait()
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def ended(folder: Path) -> dict[str, dict[str, tuple[int, bytes]]]:
    """Give the files of all runs that have ended, with the times at which they were written."""
    return {
        mark.parent.name: {
            path.name: (path.stat().st_mtime_ns, path.read_bytes())
            for path in mark.parent.iterdir()
            if path.name not in (".lock", "report.html")
        }
        for mark in folder.glob("runs/*/outcome.json")
    }


def is_equal(folder: Path, whole: Path) -> bool:
    """Whether a study ended as the one that was not interrupted."""
    ours, theirs = (
        {p.parent.name: p.read_bytes() for p in f.glob("runs/*/best.safetensors")}
        for f in (folder, whole)
    )
    journals = [
        [e.step for e in read_journal(path) if isinstance(e, StepRecord)]
        for path in folder.glob("runs/*/metrics.jsonl")
    ]
    return ours == theirs and journals == [list(range(1, STEPS + 1))] * len(theirs)


def main() -> None:
    """Kill, go on, compare, count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--span", type=float, default=2.0, help="longest time before a kill, s")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments, killed, faults, studies = random.Random(options.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as above:
        whole = Path(above) / "whole"
        study(whole, options.jobs)
        while killed < options.count:
            folder, done, alive = Path(above) / f"study-{studies}", {}, True
            while alive:
                last = killed >= options.count
                early = killed % 4 == 3
                moment = None if last else moments.uniform(0, options.span)
                alive = study(folder, options.jobs, moment, early=early)
                now = ended(folder)
                faults += any(now.get(name) != files for name, files in done.items())
                killed, done = killed + alive, now
                print(f"{killed} kills, {len(now)} runs ended, faults so far {faults}", flush=True)
            studies, faults = studies + 1, faults + (not is_equal(folder, whole))
    print(f"{killed} kills of {studies} studies: {faults} lost or repeated anything")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
