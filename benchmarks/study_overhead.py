"""What does a study cost beyond its runs, and what do two jobs gain?

The same runs are done bare, in one process one after the other (the import of torch and the loading
of the data once, as a program would), and by ``skipwise compare`` with one and with two jobs;
threads are the same, one each. The ways follow each other in turns, and the median of the repeats
counts. Run it: ``python benchmarks/study_overhead.py``.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = """
import dataclasses
import sys
from pathlib import Path
from skipwise.experiment import compose
from skipwise.networks import resnet20
from skipwise.runs import begin
from skipwise.strategies import momentum, sgd
out, data, steps, seeds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
experiment, dataset = compose(data, resnet20(), sgd(), steps=steps)
for seed in range(seeds):
    for strategy in (sgd(), momentum()):
        one = dataclasses.replace(experiment, strategy=strategy, seed=seed)
        for _ in begin(one, dataset, out / f"{strategy.name}-{seed}").events():
            pass
"""


def timed(*words: str) -> float:
    """Run Python with one thread a process, and give the seconds that it took."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Time each way, and print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    steps, seeds = str(options.steps), str(options.seeds)
    words = (
        *("-m", "skipwise", "compare", options.data, "--network", "resnet20"),
        *("--strategy", "sgd,momentum", "--steps", steps, "--seeds", seeds),
        *("--no-report", "--quiet"),
    )
    seconds: dict[str, list[float]] = {"bare": [], "1 job": [], "2 jobs": []}
    for repeat in range(options.repeats):
        with tempfile.TemporaryDirectory() as above:
            ways = {
                "bare": ("-c", BARE, f"{above}/bare", options.data, steps, seeds),
                "1 job": (*words, "--jobs", "1", "--out", str(Path(above) / "one")),
                "2 jobs": (*words, "--jobs", "2", "--out", str(Path(above) / "two")),
            }
            order = list(ways.items())
            for name, way in order if repeat % 2 == 0 else reversed(order):
                seconds[name].append(timed(*way))
                print(f"{name}: {seconds[name][-1]:.1f} s", flush=True)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    count = 2 * options.seeds
    print(f"\n{count} runs of {steps} steps on {options.data}, medians of {options.repeats}")
    for name, value in middle.items():
        print(f"{name:>7} {value:7.1f} s  {100 * (value / middle['bare'] - 1):+6.1f} % to bare")
    print(f"efficiency of 2 jobs: {middle['1 job'] / middle['2 jobs'] / 2:.2f}")


if __name__ == "__main__":
    main()
