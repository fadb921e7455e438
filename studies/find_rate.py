"""What does the rate that ``find-rate`` finds lose against the best rate of a grid?

A small ResNet trains for 400 updates at each rate of a grid of factors of two, and at the rates
that three searches found; what is compared is the accuracy on the *test* examples, of which a
search sees none. Its seeds are others than those of these runs. All rates of the grid have three
seeds; those that these do not tell from the best, by three standard errors of the difference seed
by seed, have all.

The best of eight noisy means lies above the truth, so that a rule that lost nothing would seem to
lose. What was lost with a seed, on average over the searches, is therefore counted against the rate
of the grid that is best by the *other* seeds, and its mean has a 95 % interval by Student's
distribution. That rate is still chosen by test accuracy, which favours the grid. The interval takes
the seeds' losses as independent though their choices share seeds, and the three searches as given.

Run it: ``python studies/find_rate.py``; it goes on with what ``studies/find_rate/numbers.json``
holds already, and writes the table beside it.
"""

import argparse
import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from scipy.special import stdtrit

from skipwise.data import Dataset, InMemory
from skipwise.experiment import Experiment, compose
from skipwise.networks import ResNet
from skipwise.strategies import adamw, nesterov
from skipwise.tuning import Search, rate_of, short_run

NETWORK = ResNet(name="resnet8_w8", blocks=(1, 1, 1), width=8)
STRATEGIES = {
    "nesterov": (nesterov(), [0.0125 * 2**n for n in range(8)]),
    "adamw": (adamw(), [0.0005 * 2**n for n in range(8)]),
}
EXAMPLES = {"train": 3000, "validation": 1000, "test": 2000}  # of Fashion-MNIST
SEEDS = {"digits": 16, "fashion-mnist": 8}
SCREENED, TOLD = 3, 3.0  # seeds of every rate; standard errors that tell a rate from the best
SEARCHED = (100, 200, 300)  # the first seed of each search, beyond those of the runs
STEPS = 400
HERE = Path(__file__).parent / "find_rate"


@cache
def loaded(data: str, strategy: str) -> tuple[Experiment, Dataset]:
    """Give the experiment with its data; of a large set the first examples of each part."""
    experiment, dataset = compose(data, NETWORK, STRATEGIES[strategy][0])
    if data == "digits":
        return experiment, dataset
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    cut = {
        name: InMemory(*part.gather(torch.arange(EXAMPLES[name])))
        for name, part in parts.items()
        if part is not None
    }
    return experiment, dataclasses.replace(dataset, **cut)


class Numbers:
    """What was measured, on the disk after each measurement."""

    def __init__(self, path: Path):
        self.path = path
        self.known = json.loads(path.read_text()) if path.exists() else {}

    def get(self, name: str, measure):
        """Give a number that is known, or measure it."""
        if name not in self.known:
            self.known[name] = measure()
            self.path.write_text(json.dumps(self.known, indent=1) + "\n")
            print(name, self.known[name], flush=True)
        return self.known[name]


def accuracies(
    numbers: Numbers, data: str, strategy: str, rate: float, seeds: Sequence[int]
) -> list[float]:
    """Give the test accuracy of full runs at a rate, seed by seed, in per cent."""

    def measure(seed: int) -> float:
        experiment, dataset = loaded(data, strategy)
        tested = dataclasses.replace(dataset, validation=dataset.test)
        trial = short_run(experiment, tested, rate=rate, seed=seed, steps=STEPS)
        return round(100 * trial.validation.get("accuracy", 0.0), 3)

    name = f"{data} {strategy} {rate:g}"
    return [numbers.get(f"{name} seed {n}", lambda n=n: measure(n)) for n in seeds]


def gridded(numbers: Numbers, data: str, strategy: str, seeds: int) -> dict[float, list[float]]:
    """Give the accuracies of the grid's rates that may be the best, seed by seed."""
    rates, first = STRATEGIES[strategy][1], range(min(SCREENED, seeds))
    screened = {rate: accuracies(numbers, data, strategy, rate, first) for rate in rates}
    left = contenders(screened)
    return {rate: accuracies(numbers, data, strategy, rate, range(seeds)) for rate in left}


def contenders(grid: Mapping[float, Sequence[float]]) -> list[float]:
    """Give the rates that the seeds do not tell from the best one.

    >>> contenders({0.1: [90.0, 91.0, 92.0], 0.2: [89.9, 91.1, 91.0], 0.4: [80.0, 81.5, 82.0]})
    [0.1, 0.2]
    """
    best = best_rate(grid)
    behind = {rate: np.subtract(grid[best], some) for rate, some in grid.items()}
    errors = {rate: np.std(d, ddof=1) / math.sqrt(len(d)) for rate, d in behind.items()}
    return [rate for rate in grid if behind[rate].mean() <= TOLD * errors[rate]]


def best_rate(grid: Mapping[float, Sequence[float]]) -> float:
    """Give the rate of the highest mean."""
    return max(grid, key=lambda rate: statistics.fmean(grid[rate]))


def lost(grid: Mapping[float, Sequence[float]], own: Sequence[float]) -> list[float]:
    """Give what is lost against the rate that is best by the other seeds, seed by seed.

    >>> lost({0.1: [90.0, 91.0], 0.2: [92.0, 89.0]}, [90.0, 90.0])  # each time the worse one
    [0.0, -1.0]
    """
    found = []
    for seed, accuracy in enumerate(own):
        others = {r: [*some[:seed], *some[seed + 1 :]] for r, some in grid.items()}
        found.append(grid[best_rate(others)][seed] - accuracy)
    return found


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Give the mean between the ends of its 95 % interval."""
    half = stdtrit(len(values) - 1, 0.975) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return mean - half, mean, mean + half


def searched(numbers: Numbers, data: str, strategy: str, first: int) -> dict[str, float]:
    """Give the rate that a search finds, with its interval and what it cost."""

    def measure() -> dict[str, float]:
        experiment, dataset = loaded(data, strategy)
        found = rate_of(dataclasses.replace(experiment, seed=first), dataset, Search())
        steps = sum(len(run.losses) for run in (*found.sweeps, *found.trials))
        return {"rate": found.rate, "low": found.low, "high": found.high, "steps": steps}

    return numbers.get(f"{data} {strategy} search from seed {first}", measure)


def row(numbers: Numbers, data: str, strategy: str, seeds: int) -> str:
    """Give a line of the table."""
    grid = gridded(numbers, data, strategy, seeds)
    found = [searched(numbers, data, strategy, first) for first in SEARCHED]
    own = [accuracies(numbers, data, strategy, one["rate"], range(seeds)) for one in found]
    mean_own = [statistics.fmean(some) for some in zip(*own, strict=True)]
    best = best_rate(grid)
    low, mean, high = interval(lost(grid, mean_own))
    rates = ", ".join(f"{one['rate']:g} ({one['low']:.2g} to {one['high']:.2g})" for one in found)
    return (
        f"| {data} | {strategy} | {seeds} | {rates} | {_mean(mean_own)} | {best:g} |"
        f" {_mean(grid[best])} | {mean:+.2f} ({low:+.2f} to {high:+.2f}) |"
        f" {statistics.fmean(one['steps'] for one in found):.0f} |"
    )


def _mean(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}"


def main() -> None:
    """Measure what is not known yet, and write the table."""
    parser = argparse.ArgumentParser(description="find-rate against a grid.")
    parser.add_argument("--seeds", type=int, help="so many for each data set")
    parser.add_argument("--grid", action="store_true", help="measure the grid alone")
    parser.add_argument("--data", nargs="*", default=["digits", "fashion-mnist"])
    words = parser.parse_args()
    HERE.mkdir(exist_ok=True)
    numbers = Numbers(HERE / "numbers.json")
    seeds = {data: words.seeds or SEEDS[data] for data in words.data}
    if words.grid:
        for data in words.data:
            for strategy in STRATEGIES:
                gridded(numbers, data, strategy, seeds[data])
        return
    cells, lines = [(data, strategy) for data in words.data for strategy in STRATEGIES], []
    for data, strategy in cells:
        lines.append(row(numbers, data, strategy, seeds[data]))
        (HERE / "table.md").write_text(table(lines, cells[len(lines) :]))
    print(table(lines, []))


def table(lines: list[str], left: list[tuple[str, str]]) -> str:
    """Write the table of the rows that are there, and say which are not."""
    missing = f" Not measured yet: {'; '.join(map(', '.join, left))}." if left else ""
    head = [
        f"`python studies/find_rate.py`: ResNet-8 of width 8, {STEPS} updates of 128 examples,"
        " mean ± sd over seeds; at the rates found, of the mean over three searches."
        " Fashion-MNIST: the first"
        f" {', '.join(f'{count} {name}' for name, count in EXAMPLES.items())} examples. The grid is"
        " 8 rates, each twice the one before; its best is chosen by this test accuracy. Lost, with"
        f" its 95 % interval: against the grid's rate that is best by the other seeds.{missing}",
        "",
        "| data | strategy | seeds | rates found (as good) | test, % | best of grid | test, % |"
        " lost, points | updates of a search |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *lines]) + "\n"


if __name__ == "__main__":
    main()
