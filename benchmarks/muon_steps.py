"""How many steps Muon needs to the test accuracy that SGD reaches: ResNet-20, Fashion-MNIST.

    python benchmarks/muon_steps.py [--steps 600] [--seeds 3]

Both at the settings of their names, ``sgd-cosine`` and ``muon``, with the same batches of 128, the
same initial weights and the same order. SGD trains once a seed, and the accuracy at its end is
the aim. A rate that falls to zero is for one length, so Muon trains anew for each share of SGD's
steps, and its steps are those of the shortest schedule at whose end it is as accurate; between the
lengths lies a straight line. Within the run of full length the first evaluation at the aim is given
too. Each run that is done is on the disk, and a second call goes on from there.
"""

import argparse
import dataclasses
import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path

import torch

from skipwise.data import Dataset, InMemory
from skipwise.experiment import build, compose
from skipwise.networks import resnet20
from skipwise.strategies import Strategy, muon, sgd_cosine
from skipwise.training import evaluate, train

WIDTH, BATCH, EVERY = 8, 128, 50
PICTURES = {"train": 10_000, "test": 5_000}  # the first of each part
SHARES = (0.25, 0.5, 0.75, 1.0)
HERE = Path(__file__).with_suffix("")
Curve = Mapping[int, float]  # steps → test accuracy in per cent


def pictures(dataset: Dataset) -> Dataset:
    """Keep the first pictures of the training and the test part, and no others."""
    parts = {"train": dataset.train, "test": dataset.test}
    cut = {n: InMemory(*p.gather(torch.arange(PICTURES[n]))) for n, p in parts.items() if p}
    return dataclasses.replace(dataset, validation=None, **cut)


def trained(strategy: Strategy, steps: int, seed: int) -> Curve:
    """Train once, and give the test accuracy by steps."""
    network = dataclasses.replace(resnet20(), width=WIDTH)
    experiment, dataset = compose(
        "fashion-mnist",
        network,
        strategy,
        steps=steps,
        seed=seed,
        batch_size=BATCH,
        precision="float32",
        compile="off",
    )
    dataset = pictures(dataset)
    run, task = build(experiment, dataset)
    assert dataset.test is not None
    curve = dict[int, float]()
    for step in train(run):
        if step.step % EVERY == 0 or step.step == steps:
            model, preprocessing = run.evaluated(), dataset.preprocessing
            found = evaluate(model, dataset.test, preprocessing, task, part="test")
            curve[step.step] = round(100 * found.metrics["accuracy"], 3)
    return curve


def reached(curve: Curve, aim: float) -> float:
    """Give the steps at which a curve first lies at the aim, along lines; infinite if never.

    >>> reached({100: 70.0, 200: 80.0, 300: 90.0}, 85.0), reached({100: 70.0}, 85.0)
    (250.0, inf)
    """
    before = None
    for steps, accuracy in sorted(curve.items()):
        if accuracy >= aim:
            if before is None:
                return float(steps)
            share = (aim - before[1]) / (accuracy - before[1])
            return before[0] + share * (steps - before[0])
        before = steps, accuracy
    return math.inf


def measured(path: Path, steps: int, seeds: int) -> dict[str, Curve]:
    """Run what is not on the disk yet, all of one seed before the next."""
    known = json.loads(path.read_text()) if path.exists() else {}
    runs = [("sgd-cosine", sgd_cosine(), steps)]
    runs += [("muon", muon(), round(share * steps)) for share in reversed(SHARES)]
    for seed in range(seeds):
        for name, strategy, length in runs:
            key = f"{name} {length} {seed}"
            if key not in known:
                known[key] = trained(strategy, length, seed)
                path.write_text(json.dumps(known, indent=1) + "\n")
                print(key, known[key], flush=True)
    return {key: {int(n): value for n, value in curve.items()} for key, curve in known.items()}


def table(known: Mapping[str, Curve], steps: int, seeds: int) -> str:
    """Write the accuracy at the end of each schedule, and the steps to SGD's, seed by seed."""
    lengths = [round(share * steps) for share in SHARES]
    ends = {n: [known[f"muon {n} {seed}"][n] for seed in range(seeds)] for n in lengths}
    aims = [known[f"sgd-cosine {steps} {seed}"][steps] for seed in range(seeds)]
    whole = [reached({n: ends[n][k] for n in lengths}, aim) for k, aim in enumerate(aims)]
    within = [reached(known[f"muon {steps} {k}"], aim) for k, aim in enumerate(aims)]
    mean = reached(
        {n: statistics.fmean(values) for n, values in ends.items()}, statistics.fmean(aims)
    )
    rows = [("sgd-cosine", steps, aims), *(("muon", n, ends[n]) for n in lengths)]
    return "\n".join([
        "# Muon: steps to the accuracy of SGD",
        "",
        f"`python benchmarks/muon_steps.py`: ResNet-20 of width {WIDTH} (16 in the paper),"
        f" Fashion-MNIST's first {PICTURES['train']:,} training and {PICTURES['test']:,} test"
        f" pictures, batches of {BATCH}, {seeds} seeds, float32, torch {torch.__version__}."
        " Both strategies as they are named; neither was tuned here. One AVX2 thread of two"
        " cores with other work beside it, which changes no number here: steps are counted,"
        " not seconds.",
        "",
        "| strategy | steps of its schedule | test accuracy at its end, %, seed by seed | mean |",
        "|:---|---:|:---|---:|",
        *(
            f"| {name} | {n} | {', '.join(f'{v:.2f}' for v in values)}"
            f" | {statistics.fmean(values):.2f} |"
            for name, n, values in rows
        ),
        "",
        f"Steps of Muon's schedule to the accuracy that SGD has after {steps}, along lines"
        f" between the lengths: {_listed(whole)} seed by seed; the means of the seeds meet at"
        f" {_share(mean, steps)}. In the one run over {steps} steps Muon first reaches it at"
        f" {_listed(within)} (evaluated every {EVERY} steps, along lines).",
        "",
    ])


def _listed(steps: list[float]) -> str:
    return ", ".join("never" if math.isinf(n) else f"{n:.0f}" for n in steps)


def _share(steps: float, whole: int) -> str:
    return "no length" if math.isinf(steps) else f"{steps:.0f}, {steps / whole:.0%} of SGD's steps"


def main() -> None:
    """Measure what is not known yet, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    known = measured(HERE.with_suffix(".json"), given.steps, given.seeds)
    written = table(known, given.steps, given.seeds)
    HERE.with_suffix(".md").write_text(written)
    print(written)


if __name__ == "__main__":
    main()
