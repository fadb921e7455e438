"""What do monitors cost, and how often do they look?

The same run is trained without and with monitors, each in a process of its own, in turns that begin
with either. Of each pair come: the time of the steps with the monitors' against that of the steps
alone, within the watched run, where both share the machine's moods; the median step of the watched
run against that of the other; how often each monitor measured; and whether the weights are the
same, bit for bit. Run it: ``python benchmarks/watching.py``, on a machine with nothing else to do.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from skipwise.records import MeasureRecord, StepRecord, read_journal
from skipwise.training import load_checkpoint

COLUMNS = ("watch", "seconds of steps", "cost", "step to step", "measurements", "same weights")


def trained(folder: Path, options: argparse.Namespace, watch: str | None) -> Path:
    """Train one run in a process of its own."""
    words = (
        *("-m", "skipwise", "train", options.data, "--network", options.network),
        *("--steps", str(options.steps), "--batch-size", str(options.batch_size)),
        *("--compile", "off", "--out", str(folder), "--no-report", "--quiet"),
        *(() if watch is None else ("--watch", watch)),
    )
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    command = [sys.executable, *words]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return folder


def seconds_of(run: Path) -> list[float]:
    """Give the seconds of every step."""
    events = read_journal(run / "metrics.jsonl")
    return [event.seconds for event in events if isinstance(event, StepRecord)]


def monitors_of(run: Path) -> dict[str, list[float]]:
    """Give the seconds of every measurement, by monitor."""
    found: dict[str, list[float]] = {}
    for event in read_journal(run / "metrics.jsonl"):
        if isinstance(event, MeasureRecord) and event.name.startswith("watch "):
            if "seconds" in event.values:
                found.setdefault(event.name.removeprefix("watch "), []).append(
                    event.values["seconds"]
                )
    return found


def same_weights(first: Path, second: Path) -> bool:
    """Whether two runs ended with the same parameters, buffers and state of the optimiser."""
    one, two = (load_checkpoint(run / "last.ckpt")["run"] for run in (first, second))
    pairs = [(one["model"][name], two["model"][name]) for name in one["model"]]
    states = (one["optimiser"]["state"], two["optimiser"]["state"])
    for key, kept in states[0].items():
        pairs += [(kept[n], states[1][key][n]) for n in kept if isinstance(kept[n], torch.Tensor)]
    return all(torch.equal(mine, other) for mine, other in pairs)


def compared(alone: Path, watched: Path, watch: str) -> list[str]:
    """Give a row of the table."""
    steps, found = seconds_of(watched), monitors_of(watched)
    spent = sum(map(sum, found.values()))
    ratio = statistics.median(steps) / statistics.median(seconds_of(alone))
    counts = ", ".join(f"{name} {len(s)} of {sum(s) / len(s):.3f} s" for name, s in found.items())
    return [
        watch,
        f"{sum(steps):.1f}",
        f"{100 * spent / sum(steps):.2f} %",
        f"{ratio:.3f}",
        counts or "none",
        "yes" if same_weights(alone, watched) else "NO",
    ]


def main() -> None:
    """Train the pairs, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--network", default="resnet20")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--watch",
        nargs="*",
        default=["gradients", "gradients,curvature", "gradients,units,updates,normalisation"],
        help="one or more lists of monitors",
    )
    options = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for repeat in range(options.repeats):
        for watch in options.watch:
            with tempfile.TemporaryDirectory() as above:
                runs = {}
                for way in (None, watch) if repeat % 2 == 0 else (watch, None):
                    runs[way] = trained(Path(above) / str(len(runs)), options, way)
                print(f"| {' | '.join(compared(runs[None], runs[watch], watch))} |", flush=True)


if __name__ == "__main__":
    main()
