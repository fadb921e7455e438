"""Test accuracy of every named strategy after three minutes of ResNet-20 on Fashion-MNIST.

What a step of each strategy costs is measured side by side, in turns, on a machine with nothing
else to do (``--costs``); the steps that three minutes of two cores hold follow from it, and a run
takes so many. So the runs may be done in pieces, beside other work and on other machines, and all
have had the same time. Evaluations are not charged. Nothing is tuned, three seeds: a look, whose
verdicts would need more (``studies/strategies.py``).

    python studies/equal_time.py --costs    # about ten minutes
    python studies/equal_time.py            # goes on with what is missing; writes the table
    python studies/equal_time.py --seed 1   # of one seed only: another process may do the next

L-BFGS, which is for small problems, is refused on a network of this size and left out.
"""

import argparse
import json
import platform
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import skipwise
from skipwise.experiment import build, compose
from skipwise.networks import resnet20
from skipwise.strategies import named_strategies
from skipwise.training import Diverged, train

SECONDS, SEEDS, WARM, ROUNDS = 180.0, 3, 3, 20
LEFT_OUT, REFERENCE = ("lbfgs",), "momentum"
HOW: dict[str, Any] = {"precision": "float32", "compile": "off"}  # the same on every machine
HERE = Path(__file__).with_suffix("")
COSTS, TABLE = HERE / "costs.json", HERE / "table.md"


def names() -> list[str]:
    """List the strategies that train a network of this size."""
    return [name for name in named_strategies() if name not in LEFT_OUT]


def costs(known: dict[str, Any]) -> dict[str, Any]:
    """Take a step of every strategy in turns, and give the mean seconds of each.

    The mean, since some rules do more in every tenth step. Every other round goes backwards. What
    is known stays; others are measured beside the reference and brought to its known seconds.
    """
    before, runs = known.get("seconds", {}), {}
    for name in dict.fromkeys([REFERENCE, *(n for n in names() if n not in before)]):
        strategy = named_strategies()[name]()
        experiment, dataset = compose("fashion-mnist", resnet20(), strategy, steps=1000, **HOW)
        runs[name] = train(build(experiment, dataset)[0])
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(WARM + ROUNDS):
        for name in runs if number % 2 == 0 else reversed(runs):
            seconds[name].append(next(runs[name]).seconds)
        print(f"round {number + 1} of {WARM + ROUNDS}", flush=True)
    means = {name: statistics.mean(s[WARM:]) for name, s in seconds.items()}
    scale = before.get(REFERENCE, means[REFERENCE]) / means[REFERENCE]
    found = {name: round(scale * mean, 5) for name, mean in means.items()}
    usual = {"threads": torch.get_num_threads(), "machine": platform.machine()}
    return {**usual, **known, "seconds": dict(sorted({**found, **before}.items()))}


def accuracy(name: str, seed: int, steps: int) -> float | None:
    """Train one run and give its test accuracy, None if it diverged."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            run = skipwise.train(
                "fashion-mnist",
                resnet20(),
                named_strategies()[name](),
                steps=steps,
                seed=seed,
                **HOW,
                out=f"{folder}/run",
                report=False,
                quiet=True,
            )
        except Diverged:
            return None
    assert run.test is not None
    return run.test.metrics["accuracy"]


def table(cost: dict[str, Any]) -> str:
    """Write what there is, the best mean first; a run that diverged counts as the worst."""
    found = [numbers(seed) for seed in range(SEEDS)]
    rows = []
    for name in cost["seconds"]:
        of_name = [one[name] for one in found if _is_there(one, name, cost)]
        values = [100 * (one["accuracy"] or 0.0) for one in of_name]
        if values:
            spread = f"{statistics.stdev(values):.2f}" if len(values) > 1 else ""
            cells = [f"{statistics.mean(values):.2f}", spread, f"{min(values):.2f}"]
            cells += [f"{max(values):.2f}", len(values), steps_of(cost, name)]
            cells += [f"{cost['seconds'][name]:.3f}"]
            rows.append((statistics.mean(values), [name, *cells]))
    columns = ("strategy", "test accuracy, %", "standard deviation", "lowest", "highest")
    columns += ("seeds", "steps", "seconds a step")
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)]]
    lines += [row for _, row in sorted(rows, key=lambda pair: -pair[0])]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def place(seed: int) -> Path:
    """Name the file of what was measured with a seed."""
    return HERE / f"seed-{seed}.json"


def numbers(seed: int) -> dict[str, dict[str, Any]]:
    """Read what was measured with a seed: steps and accuracy by strategy, None if it diverged."""
    return json.loads(place(seed).read_text()) if place(seed).exists() else {}


def _is_there(found: dict[str, dict[str, Any]], name: str, cost: dict[str, Any]) -> bool:
    """Whether a run of as many steps as the costs of today allow was measured."""
    return name in found and found[name]["steps"] == steps_of(cost, name)


def steps_of(cost: dict[str, Any], name: str) -> int:
    """Give the steps that fit into the time."""
    return int(SECONDS / cost["seconds"][name])


def main() -> None:
    """Measure the costs, or go on with the runs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--costs", action="store_true", help="measure what a step costs, where unknown"
    )
    parser.add_argument("--seed", type=int, help="do the runs of this one only")
    options = parser.parse_args()
    HERE.mkdir(exist_ok=True)
    if options.costs:
        known = json.loads(COSTS.read_text()) if COSTS.exists() else {}
        COSTS.write_text(json.dumps(costs(known), indent=1) + "\n")
        return
    cost = json.loads(COSTS.read_text())
    for seed in range(SEEDS) if options.seed is None else [options.seed]:
        for name in np.random.default_rng(seed).permutation(list(cost["seconds"])).tolist():
            found = numbers(seed)
            if not _is_there(found, name, cost):
                steps = steps_of(cost, name)
                found[name] = {"steps": steps, "accuracy": accuracy(name, seed, steps)}
                place(seed).write_text(json.dumps(found, indent=1) + "\n")
                TABLE.write_text(table(cost))
                print(name, seed, found[name], flush=True)
    TABLE.write_text(table(cost))


if __name__ == "__main__":
    main()
