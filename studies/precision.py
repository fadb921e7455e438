"""Whether bfloat16 costs accuracy: the same runs in float32, paired by seed.

``python studies/precision.py`` trains the quick network for an epoch on Fashion-MNIST, five seeds
in each number format, and prints test accuracy and the mean difference with its 95 % interval
(Student's t over the paired differences). ``--out`` keeps what was measured; a second call goes on.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import t as student

import skipwise

FORMATS = ("float32", "bfloat16")
HERE = Path(__file__).with_suffix("")


def accuracy(seed: int, precision: str, epochs: float) -> float:
    """Train one run and give its accuracy on the test part."""
    with tempfile.TemporaryDirectory() as folder:
        run = skipwise.train(
            "fashion-mnist",
            skipwise.networks.resnet8_w32(),
            skipwise.strategies.nesterov_triangle(),
            seed=seed,
            epochs=epochs,
            precision=precision,
            out=f"{folder}/run",
            report=False,
            quiet=True,
        )
    assert run.test is not None
    return run.test.metrics["accuracy"]


def difference(pairs: np.ndarray) -> tuple[float, float]:
    """Give the mean of the second column less the first, and half the width of its interval."""
    gaps = pairs[:, 1] - pairs[:, 0]
    half = student.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps))
    return float(gaps.mean()), float(half)


def main() -> None:
    """Train what is not there yet, and print."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seeds", type=int, default=5)
    words.add_argument("--epochs", type=float, default=1.0)
    words.add_argument("--out", type=Path, default=HERE / "numbers.json")
    told = words.parse_args()
    found = json.loads(told.out.read_text()) if told.out.exists() else {}
    for seed in range(told.seeds):
        for precision in FORMATS:
            key = f"{precision} {seed} {told.epochs:g}"
            if key not in found:
                found[key] = accuracy(seed, precision, told.epochs)
                told.out.write_text(json.dumps(found, indent=1))
                print(key, f"{found[key]:.4f}", flush=True)
    pairs = np.array([
        [found[f"{p} {seed} {told.epochs:g}"] for p in FORMATS] for seed in range(told.seeds)
    ])
    mean, half = difference(100 * pairs)
    print(", ".join(f"{p} {100 * pairs[:, n].mean():.2f} %" for n, p in enumerate(FORMATS)))
    print(f"bfloat16 less float32: {mean:+.2f} ± {half:.2f} points ({told.seeds} seeds)")


if __name__ == "__main__":
    main()
