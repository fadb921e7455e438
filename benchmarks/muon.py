"""What Muon costs a step beside SGD: ResNet-20 at batch 128, both in turns on the same machine.

    python benchmarks/muon.py [--rounds 40] [--batch 128]

Prints the median time of the optimisers' own part and of whole steps, and the ratio of whole steps,
Muon's over SGD's, with a 95 % interval: the rounds are drawn anew 10,000 times, in pairs. On a GPU
the optimisers' own part is left out: it would be that of giving commands. What it found is kept in
``muon.json``, with the conditions, and told in ``muon.md``.
Computed beforehand from the products that it adds: 3.3·C/(B·H·W), 2.6 % in the last stage.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from conditions import conditions

from skipwise.data import Arrays, Shares
from skipwise.experiment import Experiment, build
from skipwise.networks import resnet20
from skipwise.strategies import Strategy, muon, sgd_cosine
from skipwise.training import Run, Step, choose_device, train

HERE = Path(__file__).with_suffix("")


def a_run(strategy: Strategy, batch: int, steps: int, file: str) -> Run:
    """Make a run on pictures of 32 × 32 pixels with nothing to learn in them."""
    experiment = Experiment(
        data=Arrays(path=file, shares=Shares(validation=0.0, test=0.0)),
        network=resnet20(),
        strategy=strategy,
        steps=steps,
        batch_size=batch,
        augmentation=(),
        precision="float32",
        compile="off",
    )
    return build(experiment, experiment.data.load())[0]


def measured(rounds: int, batch: int, file: str) -> dict[str, list[Step]]:
    """Take turns, a step each, the first of a round changing from round to round."""
    strategies = {"sgd-cosine": sgd_cosine(), "muon": muon()}
    runs = {n: train(a_run(s, batch, rounds + 3, file)) for n, s in strategies.items()}
    taken: dict[str, list[Step]] = {name: [] for name in runs}
    for number in range(rounds + 3):
        order = list(runs) if number % 2 else list(reversed(runs))
        for name in order:
            taken[name].append(next(runs[name]))
    return {name: steps[3:] for name, steps in taken.items()}


def ratio_with_interval(above: list[float], below: list[float]) -> tuple[float, float, float]:
    """Give the ratio of medians, and the 95 % interval from pairs drawn anew."""
    pairs, draw = np.array([above, below]), np.random.default_rng(0)
    picks = draw.integers(0, len(above), (10_000, len(above)))
    tops, bottoms = (np.median(side[picks], axis=1) for side in pairs)
    low, high = np.quantile(tops / bottoms, (0.025, 0.975))
    return float(np.median(pairs[0]) / np.median(pairs[1])), float(low), float(high)


def of_updates(taken: Mapping[str, list[Step]], beside: float) -> dict[str, float]:
    """Print how long the updates take, and give what Muon's adds to a step; nothing of a GPU's."""
    if choose_device().type != "cpu":
        return {}
    own = {n: statistics.median(s.optimiser_seconds for s in steps) for n, steps in taken.items()}
    for name, seconds in own.items():
        print(f"{name}: the update takes {1e3 * seconds:.2f} ms")
    return {"update_adds": round((own["muon"] - own["sgd-cosine"]) / beside, 3)}


def told(found: Mapping[str, Any]) -> str:
    """Write what was found for a reader."""
    machine, times = found["conditions"], found["milliseconds"]
    adds = ""
    if "update_adds" in found:
        adds = f"; the update itself adds {found['update_adds']:.1%} of a step"
    return "\n".join([
        "# Muon: what a step costs",
        "",
        f"`python benchmarks/muon.py --rounds {found['rounds']}`: ResNet-20 of width 16, 32 px,"
        f" batches of {found['batch']}, float32, a step of each in turns; {machine['hardware']},"
        f" {machine['cores']} cores.",
        "",
        "| strategy | milliseconds a step, median |",
        "|:---|---:|",
        *(f"| {name} | {milliseconds} |" for name, milliseconds in times.items()),
        "",
        f"A step of Muon takes {found['ratio']:.3f} times as long (95 %: {found['low']:.3f} to"
        f" {found['high']:.3f}){adds}.",
        "",
    ])


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--file", default="/tmp/muon_pictures.npz")
    given = parser.parse_args()
    noise = np.random.default_rng(0)
    pictures = noise.integers(0, 256, (4 * given.batch, 32, 32, 3)).astype(np.uint8)
    np.savez(given.file, x=pictures, y=np.arange(len(pictures)) % 10)
    taken = measured(given.rounds, given.batch, given.file)
    whole = {n: [step.seconds for step in steps] for n, steps in taken.items()}
    medians = {name: statistics.median(seconds) for name, seconds in whole.items()}
    ratio, low, high = ratio_with_interval(whole["muon"], whole["sgd-cosine"])
    found = {
        "rounds": given.rounds,
        "batch": given.batch,
        "conditions": conditions(),
        "milliseconds": {name: round(1e3 * seconds, 1) for name, seconds in medians.items()},
        "ratio": round(ratio, 3),
        "low": round(low, 3),
        "high": round(high, 3),
        **of_updates(taken, medians["sgd-cosine"]),
    }
    HERE.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    HERE.with_suffix(".md").write_text(told(found))
    print(told(found))


if __name__ == "__main__":
    main()
