"""Does a deeper plain network train worse, and does the sum mend it? He et al. (2015), figure 6.

Plain-20, plain-56, ResNet-20 and ResNet-56 at a reduced width train on a fixed subset of
Fashion-MNIST with the same strategy, steps and seeds; what is compared is the error on the
*training* examples, evaluated in order, without augmentation, at the end. Run it: ``python
studies/degradation.py``; the table and a JSON go to ``studies/degradation/``.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
from pathlib import Path

import torch
from curves import write_chart

from skipwise.data import Dataset, InMemory, find_data
from skipwise.experiment import Experiment
from skipwise.networks import plain20, plain56, resnet20, resnet56
from skipwise.records import StepRecord
from skipwise.runs import begin
from skipwise.strategies import momentum
from skipwise.training import evaluate

NETWORKS = (plain20, plain56, resnet20, resnet56)


def subset(dataset: Dataset, examples: int) -> Dataset:
    """Keep the first examples of the training part; validation and test play no role here."""
    inputs, targets = dataset.train.gather(torch.arange(examples))
    return dataclasses.replace(dataset, train=InMemory(inputs, targets), validation=None, test=None)


def training_error(experiment: Experiment, dataset: Dataset) -> tuple[float, float, list[float]]:
    """Train; give error (%) and loss on the training examples, and the loss of every step."""
    with tempfile.TemporaryDirectory() as folder:
        session = begin(experiment, dataset, Path(folder) / "run")
        losses = [e.loss for e in session.events() if isinstance(e, StepRecord)]
    autocast = session.run.autocast
    record = evaluate(
        session.run.model,
        dataset.train,
        dataset.preprocessing,
        session.task,
        part="train",
        autocast=autocast,
    )
    return 100 * (1 - record.metrics["accuracy"]), record.metrics["loss"], losses


def main() -> None:
    """Run all, print a table, write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "degradation")
    options = parser.parse_args()
    data = find_data("fashion-mnist")
    dataset = subset(data.load(), options.examples)
    results: dict[str, list[tuple[float, float]]] = {make().name: [] for make in NETWORKS}
    curves: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        for make in NETWORKS:
            experiment = Experiment(
                data=data,
                network=dataclasses.replace(make(), width=options.width),
                strategy=momentum(),
                epochs=options.epochs,
                seed=seed,
                augmentation=(),
            )
            error, loss, losses = training_error(experiment, dataset)
            curves.setdefault(make().name, losses)
            results[make().name].append((error, loss))
            print(
                f"seed {seed} {make().name:<9} training error {error:6.2f} %  loss {loss:.4f}",
                flush=True,
            )
    write(results, options)
    title = f"Training loss, Fashion-MNIST subset, width {options.width}, seed 0"
    write_chart(options.out / "curves.svg", curves, title=title, across="step")


def write(results: dict[str, list[tuple[float, float]]], options: argparse.Namespace) -> None:
    """Write the table and the numbers."""
    setting = {k: v for k, v in vars(options).items() if k != "out"}
    lines = ["| network | training error, % (each seed) | mean | mean loss |", "|---|---|---|---|"]
    for name, pairs in results.items():
        errors = ", ".join(f"{e:.2f}" for e, _ in pairs)
        mean = [statistics.mean(column) for column in zip(*pairs, strict=True)]
        lines.append(f"| {name} | {errors} | {mean[0]:.2f} | {mean[1]:.4f} |")
    options.out.mkdir(parents=True, exist_ok=True)
    settings = ", ".join(f"{k} {v}" for k, v in setting.items())
    text = (
        f"Fashion-MNIST, training examples; {settings}; momentum, cosine.\n\n"
        + "\n".join(lines)
        + "\n"
    )
    (options.out / "table.md").write_text(text)
    (options.out / "numbers.json").write_text(
        json.dumps({"setting": setting, "results": results}, indent=1) + "\n"
    )
    print(text)


if __name__ == "__main__":
    main()
