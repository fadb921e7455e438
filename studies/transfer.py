"""Where is the best rate at 8, 20, 56 and 110 layers, and what does the rate of 8 layers cost?

A ResNet for CIFAR, of width 4 and on digits, trains for 60 updates at rates around the one that
the rule gives for its depth (:func:`skipwise.tuning.at_other_depth`), branches as they are and
divided by the root of the depth, with SGD and with Adam. The best rate is where the end loss is
least, as ``skipwise transfer`` finds it; its regret is the accuracy on the *test* examples that the
best multiple of 8 layers loses against the multiple that has the highest at that depth, which
favours the latter. Run it: ``python studies/transfer.py``; it goes on with what
``studies/transfer/numbers.json`` holds already, and writes the table beside it after each depth.
``--budget`` says how long what is missing would take.
"""

import argparse
import dataclasses
import json
import statistics
import time
from pathlib import Path

import numpy as np

from skipwise.connections import Additive
from skipwise.data import Dataset
from skipwise.experiment import Experiment, compose
from skipwise.networks import ResNet
from skipwise.strategies import Strategy, adam, nesterov, roles
from skipwise.tuning import at_other_depth, short_run, slope_of
from skipwise.tuning.grid import Grid, explored
from skipwise.tuning.transfer import kept_of

LAYERS = (8, 20, 56, 110)  # 6n + 2 with n blocks in each of three stages
FEWEST = 3  # blocks of 8 layers
STEPS, SEEDS, RATES = 60, 3, 5
RUNS = (RATES + 2) * SEEDS  # at a depth, if the best rate is enclosed at once
AS_THEY_ARE, DIVIDED = "as they are", "/ √depth"
STRATEGIES = {"nesterov": nesterov(), "adam": adam()}
HERE = Path(__file__).parent / "transfer"


def experiment_of(strategy: Strategy, branches: str, layers: int) -> tuple[Experiment, Dataset]:
    """Give the experiment at a depth, its rate scaled from 8 layers by the rule, and its data."""
    blocks = (layers - 2) // 6
    power = {} if branches == AS_THEY_ARE else {"scale_by_depth": 0.5, "base_depth": FEWEST}
    network = ResNet(
        name=f"resnet{layers}", blocks=(blocks,) * 3, width=4, connection=Additive(**power)
    )
    experiment, dataset = compose("digits", network, strategy, batch_size=64)
    present = set(roles(network.build(dataset.ends)).values())
    scaled = at_other_depth(strategy, network, 3 * blocks / FEWEST, present)
    tested = dataclasses.replace(dataset, validation=dataset.test)
    return dataclasses.replace(experiment, strategy=scaled), tested


class Numbers:
    """End loss and test accuracy of each run, on the disk after each rate."""

    def __init__(self, path: Path):
        self.path = path
        self.known = json.loads(path.read_text()) if path.exists() else {}

    def losses(self, strategy: str, branches: str, layers: int, multiple: float) -> list[float]:
        """Give the end losses at a rate, seed by seed; trained if they are not known."""
        name = f"{strategy}, branches {branches}, {layers} layers, 2^{multiple:g}"
        if name not in self.known:
            experiment, dataset = experiment_of(STRATEGIES[strategy], branches, layers)
            rate, began = experiment.strategy.peak_lr * 2.0**multiple, time.perf_counter()
            trials = [
                short_run(experiment, dataset, rate=rate, seed=n, steps=STEPS) for n in range(SEEDS)
            ]
            self.known[name] = {
                "losses": [t.end_loss if np.isfinite(t.end_loss) else None for t in trials],
                "accuracy": [round(100 * t.validation.get("accuracy", 0.0), 2) for t in trials],
                "seconds": round(time.perf_counter() - began, 1),
            }
            self.path.write_text(json.dumps(self.known, indent=1, ensure_ascii=False) + "\n")
            print(name, self.known[name], flush=True)
        return [np.inf if loss is None else loss for loss in self.known[name]["losses"]]

    def accuracies(self, strategy: str, branches: str, layers: int) -> dict[float, list[float]]:
        """Give the test accuracies of all rates at a depth, by log₂ of the multiple."""
        begin = f"{strategy}, branches {branches}, {layers} layers, 2^"
        known = {key.removeprefix(begin): v for key, v in self.known.items() if begin in key}
        return {float(multiple): found["accuracy"] for multiple, found in known.items()}


def rows_of(numbers: Numbers, strategy: str, branches: str, depths: list[int]) -> list[str]:
    """Measure what is not known of a strategy and a factor on branches; give the table's rows."""
    grids: dict[int, Grid] = {}
    for layers in depths:
        grids[layers] = explored(
            lambda m, layers=layers: numbers.losses(strategy, branches, layers, m), RATES
        )
    blocks = {3 * (layers - 2) // 6: grid for layers, grid in grids.items()}
    several = len(blocks) > 1
    slope = slope_of(blocks) if several else slope_of({1: blocks[FEWEST], **blocks})
    kept = kept_of(blocks[FEWEST], slope.optima[FEWEST])
    rows = []
    for layers, optimum in zip(grids, list(slope.optima.values())[-len(grids) :], strict=True):
        numbers.losses(strategy, branches, layers, kept)
        by_rate = numbers.accuracies(strategy, branches, layers)
        best = max(by_rate, key=lambda m: statistics.fmean(by_rate[m]))
        taken, most = by_rate[kept], by_rate[best]
        lost = statistics.fmean(most) - statistics.fmean(taken)
        last = f"{slope.value:.2f} ({slope.low:.2f} to {slope.high:.2f})"
        rows.append(
            f"| {strategy} | {branches} | {layers} | × {2**optimum:.2f} | {_mean(taken)} |"
            f" × {2**best:.2f} | {_mean(most)} | {lost:.2f} |"
            f" {last if several and layers == depths[-1] else ''} |"
        )
    return rows


def _mean(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}"


def budget(strategies: list[str], depths: list[int], numbers: Numbers) -> str:
    """Say how long the runs that are not known take, from a few steps at each depth."""
    seconds = 0.0
    for layers in depths:
        experiment, dataset = experiment_of(nesterov(), AS_THEY_ARE, layers)
        short_run(experiment, dataset, rate=0.01, seed=0, steps=2)
        began = time.perf_counter()
        short_run(experiment, dataset, rate=0.01, seed=0, steps=5)
        a_run = (time.perf_counter() - began) / 5 * STEPS
        for strategy in strategies:
            for branches in (AS_THEY_ARE, DIVIDED):
                known = SEEDS * len(numbers.accuracies(strategy, branches, layers))
                seconds += max(RUNS - known, 0) * a_run
    return f"about {seconds / 60:.0f} minutes, half as much again where best rates lie far off"


def main() -> None:
    """Measure what is not known yet, and write the table."""
    parser = argparse.ArgumentParser(description="Best rates over depth, and their regret.")
    parser.add_argument("--strategies", nargs="*", default=list(STRATEGIES))
    parser.add_argument("--layers", nargs="*", type=int, default=list(LAYERS))
    parser.add_argument("--budget", action="store_true", help="say how long it takes, and end")
    words = parser.parse_args()
    HERE.mkdir(exist_ok=True)
    numbers = Numbers(HERE / "numbers.json")
    if words.budget:
        print(budget(words.strategies, words.layers, numbers))
        return
    for count in range(1, len(words.layers) + 1):
        rows = [
            row
            for strategy in words.strategies
            for branches in (AS_THEY_ARE, DIVIDED)
            for row in rows_of(numbers, strategy, branches, words.layers[:count])
        ]
        _write(rows, words.layers[:count])


def _write(rows: list[str], depths: list[int]) -> None:
    missing = [str(layers) for layers in LAYERS if layers not in depths]
    lines = [
        f"`python studies/transfer.py`: ResNets of width 4 on digits, {STEPS} updates of 64"
        f" examples, {SEEDS} seeds, mean ± sd of the test accuracy in per cent. Rates are multiples"
        " of the strategy's own, scaled to the depth by the rule. The rate of 8 layers is the"
        " multiple that has the least loss there, the best of a depth that with the highest test"
        " accuracy; the slope is that of the best rate's logarithm on that of the depth."
        + (f" Not measured yet: {', '.join(missing)} layers." if missing else ""),
        "",
        "| strategy | branches | layers | least loss at | accuracy with the rate of 8 layers |"
        " best accuracy at | accuracy | lost, points | slope (95 % interval) |",
        "|:---|:---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    (HERE / "table.md").write_text("\n".join([*lines, *rows]) + "\n")


if __name__ == "__main__":
    main()
