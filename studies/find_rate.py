"""What does the rate that ``find-rate`` finds lose against the best rate of a grid?

A small ResNet trains for 400 updates at each rate of a grid of factors of two, and at the rate that
was found, three seeds each; what is compared is the accuracy on the *test* examples, of which the
search sees none. The grid's best is the best by that same test accuracy, which favours the grid.
Run it: ``python studies/find_rate.py``; it goes on with what ``studies/find_rate/numbers.json``
holds already, and writes the table beside it.
"""

import argparse
import dataclasses
import json
import statistics
from pathlib import Path

import torch

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
STEPS = 400
HERE = Path(__file__).parent / "find_rate"


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


def accuracies(numbers: Numbers, data: str, strategy: str, rate: float, seeds: int) -> list[float]:
    """Give the test accuracy of full runs at a rate, seed by seed, in per cent."""
    experiment, dataset = loaded(data, strategy)
    tested = dataclasses.replace(dataset, validation=dataset.test)

    def measure(seed: int) -> float:
        trial = short_run(experiment, tested, rate=rate, seed=seed, steps=STEPS)
        return round(100 * trial.validation.get("accuracy", 0.0), 3)

    name = f"{data} {strategy} {rate:g}"
    return [numbers.get(f"{name} seed {n}", lambda n=n: measure(n)) for n in range(seeds)]


def searched(numbers: Numbers, data: str, strategy: str, seeds: int) -> dict[str, float]:
    """Give the rate that is found, with its interval and what it cost."""

    def measure() -> dict[str, float]:
        found = rate_of(*loaded(data, strategy), Search(seeds=seeds))
        steps = sum(len(run.losses) for run in (*found.sweeps, *found.trials))
        return {"rate": found.rate, "low": found.low, "high": found.high, "steps": steps}

    return numbers.get(f"{data} {strategy} found", measure)


def row(numbers: Numbers, data: str, strategy: str, seeds: int) -> str:
    """Give a line of the table."""
    found = searched(numbers, data, strategy, seeds)
    own = accuracies(numbers, data, strategy, found["rate"], seeds)
    grid = {
        rate: accuracies(numbers, data, strategy, rate, seeds) for rate in STRATEGIES[strategy][1]
    }
    best = max(grid, key=lambda rate: statistics.fmean(grid[rate]))
    lost = statistics.fmean(grid[best]) - statistics.fmean(own)
    return (
        f"| {data} | {strategy} | {found['rate']:g} ({found['low']:.2g} to {found['high']:.2g}) |"
        f" {_mean(own)} | {best:g} | {_mean(grid[best])} | {lost:+.2f} | {found['steps']:.0f} |"
    )


def _mean(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}"


def main() -> None:
    """Measure what is not known yet, and write the table."""
    parser = argparse.ArgumentParser(description="find-rate against a grid.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", nargs="*", default=["digits", "fashion-mnist"])
    words = parser.parse_args()
    HERE.mkdir(exist_ok=True)
    numbers = Numbers(HERE / "numbers.json")
    lines = [
        f"`python studies/find_rate.py`: ResNet-8 of width 8, {STEPS} updates of 128 examples,"
        f" {words.seeds} seeds, mean ± sd. Fashion-MNIST: the first"
        f" {', '.join(f'{count} {name}' for name, count in EXAMPLES.items())} examples. The grid is"
        " 8 rates, each twice the one before; its best is chosen by this test accuracy.",
        "",
        "| data | strategy | rate found (as good) | test, % | best of grid | test, % | lost, points"
        " | updates of the search |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        row(numbers, data, strategy, words.seeds) for data in words.data for strategy in STRATEGIES
    ]
    (HERE / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
