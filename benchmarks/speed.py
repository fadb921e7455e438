"""Updates a second: Skipwise against training written the usual way, and where the gain is from.

``python benchmarks/speed.py`` prints a table and writes ``speed.json``. Arms of one network take
their steps in turn in one process, so that a machine that slows down slows all of them; figures are
medians over the rounds with the interval that holds the median with 95 %, and ratios are taken
round by round. The baseline is ``baseline.py`` with the best of 0, 1 and 2 loader workers. Each
arm has one thing more than the arm before:

* ``usual``: float32, contiguous, eager, torch's DataLoader, Adam, the loss read in every step
* ``layout``: channels last
* ``bf16``: bfloat16 autocast
* ``compile``: torch.compile (with ``--compile``; minutes)
* ``skipwise``: our network, loop, data path, fused Adam, journal and progress; eager

and ``bare`` is our network with nothing but forward, backward and update on one batch, against
which the loop's own cost is measured. Peak memory is that of a process for each.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from baseline import normalised, usual_loader, usual_model, usual_steps
from scipy.stats import binom
from torch import Tensor, nn

from skipwise import networks
from skipwise.data import find_data
from skipwise.experiment import Experiment
from skipwise.progress import telling
from skipwise.session import Session
from skipwise.shapes import Ends
from skipwise.strategies import adam
from skipwise.training import Step, autocast_type, choose_device, place_model

SETTINGS = {"resnet20": (32, 128), "resnet18": (224, 16), "resnet50": (224, 16)}  # side, batch
CLASSES, BATCHES = 10, 40  # the data are so many batches long
Arm = Iterator[object]


def pictures(side: int, batch: int) -> tuple[Tensor, Tensor]:
    """Draw random pictures and labels; the time of a step does not depend on them."""
    noise = torch.Generator().manual_seed(0)
    count = batch * BATCHES
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=noise)
    return images, torch.randint(0, CLASSES, (count,), generator=noise)


def usual(name: str, workers: int = 0) -> Arm:
    """Train the usual way."""
    images, labels = pictures(*SETTINGS[name])
    loader = usual_loader(normalised(images), labels, batch=SETTINGS[name][1], workers=workers)
    return usual_steps(usual_model(name, 3, CLASSES), loader)


def changed(name: str, *, bf16: bool = False, compile: bool = False) -> Arm:
    """Train the usual network with another layout, perhaps with bfloat16 and compiled."""
    images, labels = pictures(*SETTINGS[name])
    loader = usual_loader(normalised(images), labels, batch=SETTINGS[name][1])
    model = usual_model(name, 3, CLASSES).to(memory_format=torch.channels_last)
    number = torch.bfloat16 if bf16 else None

    class Inside(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.compile(model) if compile else model

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", number, enabled=bf16):
                return self.inner(x.contiguous(memory_format=torch.channels_last)).float()

    return usual_steps(Inside(), loader)


def skipwise(name: str) -> Arm:
    """Train with Skipwise, everything a user gets included."""
    side, batch = SETTINGS[name]
    images, labels = pictures(side, batch)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "random.npz"
        held = batch  # one batch of validation; its time is not that of a step
        np.savez(
            file,
            x=images[held:].permute(0, 2, 3, 1).numpy(),
            y=labels[held:].numpy(),
            x_val=images[:held].permute(0, 2, 3, 1).numpy(),
            y_val=labels[:held].numpy(),
        )
        data = find_data(str(file))
        experiment = Experiment(
            data=data,
            network=vars(networks)[name](),
            strategy=adam(),
            steps=100_000,
            batch_size=batch,
            augmentation=(),
            compile="off",
        )
        session = Session(experiment, data.load(), Path(folder) / "run")
        yield from (event for event in telling(session) if isinstance(event, Step))


def bare(name: str) -> Arm:
    """Forward, backward and update on one batch that is there already."""
    side, batch = SETTINGS[name]
    images, labels = (part[:batch] for part in pictures(side, batch))
    ends = Ends(inputs=(3, side, side), outputs=(CLASSES,))
    model = place_model(vars(networks)[name]().build(ends), choose_device())
    inputs = normalised(images).contiguous(memory_format=torch.channels_last)
    optimiser, number = adam().build(model), autocast_type("auto", choose_device())
    while True:
        optimiser.zero_grad()
        with torch.autocast("cpu", number, enabled=number is not None):
            outputs = model(inputs)
        nn.functional.cross_entropy(outputs.float(), labels).backward()
        optimiser.step()
        yield None


ARMS: dict[str, Callable[[str], Arm]] = {
    "usual": usual,
    "layout": changed,
    "bf16": lambda name: changed(name, bf16=True),
    "compile": lambda name: changed(name, bf16=True, compile=True),
    "skipwise": skipwise,
    "bare": bare,
}


def in_turn(arms: dict[str, Arm], rounds: int, steps: int) -> dict[str, list[float]]:
    """Let every arm take its steps in turn; give seconds a step, round by round."""
    found: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds + 1):
        for name, arm in arms.items():
            began = time.perf_counter()
            assert len(list(islice(arm, steps))) == steps
            if number:  # the first round warms up
                found[name].append((time.perf_counter() - began) / steps)
    return found


def interval(values: list[float]) -> tuple[float, float, float]:
    """Give the median, and the order statistics that hold the true one with at least 95 %."""
    ordered, count = sorted(values), len(values)
    low = max(int(binom.ppf(0.025, count, 0.5)), 1)
    return statistics.median(ordered), ordered[low - 1], ordered[count - low]


def peak_memory(name: str, arm: str) -> float:
    """Give the peak memory of a process that takes ten steps of an arm, in MiB."""
    command = [sys.executable, __file__, "--alone", name, arm]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def measure(name: str, told: argparse.Namespace) -> dict[str, Any]:
    """Measure all arms of a network."""
    seconds: dict[int, float] = {}
    for workers in (0, 1, 2):
        trial = in_turn({"usual": usual(name, workers)}, 2, told.steps)
        seconds[workers] = min(trial["usual"])
    best = min(seconds, key=lambda workers: seconds[workers])
    chosen = [arm for arm in ARMS if told.compile or arm != "compile"]
    arms = {arm: usual(name, best) if arm == "usual" else ARMS[arm](name) for arm in chosen}
    found = in_turn(arms, told.rounds, told.steps)
    return {
        "workers": best,
        "seconds": found,
        "memory": {arm: peak_memory(name, arm) for arm in ("usual", "skipwise")},
    }


def in_words(name: str, measured: dict[str, Any]) -> str:
    """Write a network's figures as a table."""
    found, (side, batch) = measured["seconds"], SETTINGS[name]
    lines = [
        f"{name}, {side} px, batch {batch}; usual loader with {measured['workers']} workers;"
        f" peak memory usual {measured['memory']['usual']:.0f} MiB,"
        f" skipwise {measured['memory']['skipwise']:.0f} MiB",
        "",
        "| arm | seconds a step (interval) | times as fast as usual (interval) |",
        "|---|---|---|",
    ]
    for arm, seconds in found.items():
        middle, low, high = interval(seconds)
        ratios = [u / s for u, s in zip(found["usual"], seconds, strict=True)]
        ratio, least, most = interval(ratios)
        lines.append(
            f"| {arm} | {middle:.4f} ({low:.4f} to {high:.4f})"
            f" | {ratio:.2f} ({least:.2f} to {most:.2f}) |"
        )
    over = [s / b - 1 for s, b in zip(found["skipwise"], found["bare"], strict=True)]
    middle, low, high = interval(over)
    lines.append("")
    lines.append(f"the loop over the bare step: {middle:+.1%} ({low:+.1%} to {high:+.1%})")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--networks", default=",".join(SETTINGS))
    words.add_argument("--rounds", type=int, default=11)
    words.add_argument("--steps", type=int, default=4, help="of each arm in a round")
    words.add_argument("--compile", action="store_true", help="measure torch.compile as well")
    words.add_argument("--out", type=Path, default=Path("speed.json"))
    words.add_argument("--alone", nargs=2, metavar=("NETWORK", "ARM"), help=argparse.SUPPRESS)
    told = words.parse_args()
    if told.alone:
        name, arm = told.alone
        assert len(list(islice(ARMS[arm](name), 10))) == 10
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    print(f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}")
    results = {}
    for name in told.networks.split(","):
        results[name] = measure(name, told)
        told.out.write_text(json.dumps(results, indent=1))
        print(f"\n{in_words(name, results[name])}", flush=True)


if __name__ == "__main__":
    main()
