"""What Muon costs a step beside SGD: ResNet-20 at batch 128, both in turns on the same machine.

    python benchmarks/muon.py [--rounds 40] [--batch 128]

Prints the median seconds of the optimisers' own part and of whole steps, and the ratio of whole
steps, Muon's over SGD's, with a 95 % interval: the rounds are drawn anew 10,000 times, in pairs.
Computed beforehand from the products that it adds: 3.3·C/(B·H·W), 2.6 % in the last stage.
"""

import argparse
import statistics

import numpy as np
import torch

from skipwise.data import Arrays, Shares
from skipwise.experiment import Experiment, build
from skipwise.networks import resnet20
from skipwise.strategies import Strategy, muon, sgd_cosine
from skipwise.training import Run, Step, train


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
    strategies = {"sgd": sgd_cosine(), "muon": muon()}
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--file", default="/tmp/muon_pictures.npz")
    given = parser.parse_args()
    noise = np.random.default_rng(0)
    pictures = noise.integers(0, 256, (4 * given.batch, 32, 32, 3)).astype(np.uint8)
    np.savez(given.file, x=pictures, y=np.arange(len(pictures)) % 10)
    found = measured(given.rounds, given.batch, given.file)
    for name, steps in found.items():
        whole = statistics.median(step.seconds for step in steps)
        own = statistics.median(step.optimiser_seconds for step in steps)
        print(f"{name:<5} {whole * 1e3:8.1f} ms a step, of which the update {own * 1e3:6.2f} ms")
    columns = [[step.seconds for step in found[name]] for name in ("muon", "sgd")]
    ratio, low, high = ratio_with_interval(*columns)
    updates = {n: statistics.median(s.optimiser_seconds for s in found[n]) for n in found}
    share = (updates["muon"] - updates["sgd"]) / statistics.median(columns[1])
    print(f"muon / sgd: {ratio:.3f} [{low:.3f}, {high:.3f}] of whole steps;")
    print(f"its update adds {share:.1%} of a step; {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
