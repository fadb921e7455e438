"""Do residual connections help, at which depth and under which strategy? The article's question.

Plain-20, ResNet-20, plain-56 and ResNet-56 at a reduced width × SGD, momentum and Adam, each tuned
with the same number of trials, on a fixed subset of Fashion-MNIST. The family, declared here: each
residual network against its plain twin, per strategy; momentum and Adam against SGD, per network:
14 comparisons, for which Holm's correction asks for 10 seeds. Run it, stop it, run it again:
``python studies/article.py --jobs 2``; ``--budget`` computes what it will take and trains nothing.
The study lies in ``studies/article/study/``, and what it found in ``studies/article/``.
"""

import argparse
import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skipwise.comparison import conclusion, headline, least_seeds, study_from_text
from skipwise.data import Arrays, Dataset, Stored, find_data
from skipwise.experiment import Experiment, build, compose
from skipwise.networks import plain20, plain56, resnet20, resnet56
from skipwise.reports import study_report
from skipwise.strategies import adam, momentum, sgd
from skipwise.studies import Study, arms_of, carry_on, family_of
from skipwise.training import train

HERE = Path(__file__).parent / "article"
FOUND = ("comparison.md", "comparison.csv", "comparison.tex", "record.json")
SIZES = {"train": 4_000, "val": 1_000, "test": 5_000}
PARTS = {"train": "train", "val": "validation", "test": "test"}
CLASSES = 10


def subset(dataset: Dataset, sizes: dict[str, int], path: Path) -> Arrays:
    """Write the first examples of every class of each part, the same number of each."""
    arrays: dict[str, Any] = {}
    for name, size in sizes.items():
        part = getattr(dataset, PARTS[name])
        assert isinstance(part, Stored)
        rows = [
            (part.targets == label).nonzero().flatten()[: size // CLASSES]
            for label in range(CLASSES)
        ]
        pictures, labels = part.gather(torch.cat(rows).sort().values)
        arrays |= {f"x_{name}": pictures[:, 0].numpy(), f"y_{name}": labels.numpy()}
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        np.savez(path, **arrays)
    return Arrays(path=str(path.absolute()))


def article(options: argparse.Namespace) -> tuple[Study, Dataset]:
    """Declare the study."""
    sizes = {name: max(size // options.shrink, CLASSES) for name, size in SIZES.items()}
    path = options.out.parent / f"fashion-mnist-{sum(sizes.values())}.npz"
    data = subset(find_data("fashion-mnist").load(), sizes, path)
    networks = tuple(
        dataclasses.replace(make(), width=options.width)
        for make in (plain20, resnet20, plain56, resnet56)
    )
    strategies = (sgd(), momentum(), adam())
    experiment, dataset = compose(
        data, networks[0], strategies[0], epochs=options.epochs, augmentation=(), compile="off"
    )
    study = Study(
        experiment=experiment,
        networks=networks,
        strategies=strategies,
        seeds=options.seeds,
        baseline="sgd",
        target=0.8,
        margin=0.5,
        trials=options.trials,
    )
    return study, dataset


def seconds_of_a_run(experiment: Experiment, dataset: Dataset, steps: int = 6) -> float:
    """Measure a few steps and one evaluation's share, and give what a whole run takes."""
    run, _ = build(dataclasses.replace(experiment, epochs=None, steps=steps), dataset)
    torch.set_num_threads(1)
    seconds = []
    began = time.perf_counter()
    for _ in train(run):
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
    step = float(np.median(seconds[1:]))
    planned = experiment.planned_steps(len(dataset.train))
    held = len(dataset.validation or ()) * (experiment.epochs or 1) + len(dataset.test or ())
    # A forward pass is about a third of a step.
    return step * (planned + held / experiment.batch_size / 3)


def budget(study: Study, dataset: Dataset, jobs: int) -> None:
    """Print what the study will take, arm by arm."""
    arms = arms_of(study)
    family = family_of(study, arms)
    print(
        f"{len(arms)} arms, {len(family)} comparisons, which need {least_seeds(len(family))} seeds;"
        f" {study.seeds} seeds and {study.trials} trials each"
    )
    total, known = 0.0, {}
    for arm in arms:
        network = arm.place["network"]
        if network not in known:  # the rule of update costs little beside the gradient
            known[network] = seconds_of_a_run(arm.experiment, dataset)
        total += known[network] * (study.seeds + study.trials)
    for network, seconds in known.items():
        print(f"{network}: {seconds:.1f} s a run on one core")
    runs = len(arms) * (study.seeds + study.trials)
    print(f"{runs} runs, {total / 3600:.2f} hours of one core, {total / 3600 / jobs:.2f} of {jobs}")


def keep(study: Path) -> None:
    """Lay what a study found beside its folder, with a page that links to no run: they stay."""
    for name in FOUND:
        shutil.copyfile(study / name, study.parent / name)
    record = study_from_text((study / "record.json").read_text(encoding="utf-8"))
    study_report(record, study.parent)


def main() -> None:
    """Compute the budget, or go on with the study and print what it found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--shrink", type=int, default=1, help="divide the parts by so much")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--budget", action="store_true", help="compute what it takes, and end")
    parser.add_argument("--out", type=Path, default=HERE / "study")
    options = parser.parse_args()
    study, dataset = article(options)
    if options.budget:
        budget(study, dataset, options.jobs)
        return
    shown = carry_on(study, dataset, options.out, jobs=options.jobs)
    print("\n".join([headline(shown.comparison), *conclusion(shown.comparison)]))
    keep(options.out)
    print(f"{options.out}/study.html has all of it")


if __name__ == "__main__":
    main()
