"""Fine-tuning against training from scratch: ResNet-20's CIFAR-10 weights on satellite pictures.

The weights are those of github.com/akamaster/pytorch_resnet_cifar10. The data are five classes of
EuroSAT at 32 pixels, of which a given number of examples a class are for training. Both arms have
the same network, updates, batches and augmentation; the rate of each arm was chosen on the
validation score of the first seed.

    python studies/fine_tuning.py EUROSAT WEIGHTS [--seeds 3] [--steps 100]

writes studies/fine_tuning/table.md.
"""

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from skipwise.data import Parquet, Stored
from skipwise.runs import train
from skipwise.strategies import nesterov
from skipwise.weights import read_source

CLASSES = ("AnnualCrop", "Forest", "Highway", "Residential", "River")
RATES = dict.fromkeys(("from scratch", "fine-tuned"), (0.3, 0.1, 0.03, 0.01))
SIZES = (200,)  # training examples a class
HERE = Path(__file__).parent / "fine_tuning"


def subset(path: str, size: int, file: Path) -> Path:
    """Write the five classes, at 32 pixels, with so many training examples of each, as .npz."""
    data = Parquet(path=path, size=(32, 32)).load()
    numbers = [data.classes.index(name) for name in CLASSES]
    parts = {"": data.train, "_val": data.validation, "_test": data.test}
    arrays: dict[str, np.ndarray] = {"classes": np.array(CLASSES)}
    for suffix, part in parts.items():
        assert isinstance(part, Stored)
        most = size if suffix == "" else len(part)
        rows = [(part.targets == number).nonzero().flatten()[:most] for number in numbers]
        labels = [torch.full_like(found, n) for n, found in enumerate(rows)]
        arrays[f"x{suffix}"] = part.gather(torch.cat(rows))[0].numpy()
        arrays[f"y{suffix}"] = torch.cat(labels).numpy()
    np.savez(file, allow_pickle=False, **arrays)
    return file


def scores(
    arm: str, rate: float, seed: int, data: Path, words: argparse.Namespace
) -> tuple[float, float]:
    """Train an arm once; give validation and test accuracy in per cent."""
    with tempfile.TemporaryDirectory() as folder:
        record = train(
            str(data),
            read_source(words.weights).network(),
            replace(nesterov(), peak_lr=rate),
            weights=words.weights if arm == "fine-tuned" else None,
            steps=words.steps,
            seed=seed,
            out=f"{folder}/run",
            quiet=True,
        )
    assert record.validation is not None
    assert record.test is not None
    both = record.validation, record.test
    return 100 * both[0].metrics["accuracy"], 100 * both[1].metrics["accuracy"]


def main() -> None:
    """Run all, print a table, write it."""
    parser = argparse.ArgumentParser(description="Fine-tuning against from scratch.")
    parser.add_argument("data", help="EuroSAT's folder with train.parquet and test.parquet")
    parser.add_argument("weights", help="ResNet-20's file of weights")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    words = parser.parse_args()
    lines = [
        f"ResNet-20 on five classes of EuroSAT at 32 pixels, {words.steps} updates of 128 examples"
        f" (or all, where there are fewer), {words.seeds} seeds: mean ± sd.",
        "",
        "| training examples a class | arm | rate (by validation) | test accuracy, % |",
        "|---:|---|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            file = subset(words.data, size, Path(folder) / f"{size}.npz")
            for arm, rates in RATES.items():
                first = {rate: scores(arm, rate, 0, file, words) for rate in rates}
                rate = max(rates, key=lambda r: first[r][0])
                others = [scores(arm, rate, n, file, words)[1] for n in range(1, words.seeds)]
                tests = [first[rate][1], *others]
                mean, spread = statistics.fmean(tests), statistics.stdev(tests)
                lines.append(f"| {size} | {arm} | {rate} | {mean:.2f} ± {spread:.2f} |")
                print(lines[-1], flush=True)
    HERE.mkdir(exist_ok=True)
    (HERE / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
