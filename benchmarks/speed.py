"""Updates a second: Skipwise against training written the usual way, and where the gain is from.

``python benchmarks/speed.py`` prints a table and writes ``speed.json``, with the conditions. Every
arm is a process of its own; those of a network take their steps in turn, so that a machine that
slows down slows all of them. Figures are medians over the rounds with the interval that holds the
median with 95 %, and ratios are taken round by round. The baseline is ``baseline.py`` with the best
of 0, 1 and 2 loader workers. Each arm has one thing more than the arm before:

* ``usual``: float32, contiguous, eager, torch's DataLoader, Adam, the loss read in every step
* ``layout``: channels last
* ``bf16``: bfloat16 autocast
* ``data``: batches are cut from tensors in memory by Skipwise, not put together by a DataLoader
* ``compile``: torch.compile, with the DataLoader (with ``--compile``; minutes)
* ``skipwise``: our network, loop, data path, fused Adam, journal and progress; eager
* ``compiled``: the same with ``--compile on``, as long runs choose it (with ``--compile``)

and ``bare`` is our network with nothing but forward, backward and update on one batch, against
which the loop's own cost is measured. Peak memory is that of its process, on a GPU of the device.
"""

import argparse
import json
import os
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
from conditions import conditions
from scipy.stats import binom
from torch import Tensor, nn

from skipwise import networks
from skipwise.data import Batches, InMemory, find_data
from skipwise.data.preprocess import fit_preprocessing
from skipwise.experiment import Experiment
from skipwise.progress import telling
from skipwise.session import Session
from skipwise.shapes import Ends
from skipwise.strategies import adam
from skipwise.training import (
    Step,
    autocast_type,
    choose_device,
    keep_freed_memory,
    place_model,
)

SETTINGS = {"resnet20": (32, 128), "resnet18": (224, 16), "resnet50": (224, 16)}  # side, batch
CLASSES, BATCHES = 10, 40  # the data are so many batches long
Arm = Iterator[object]
DEVICE = choose_device().type


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
    return usual_steps(usual_model(name, 3, CLASSES), loader, device=DEVICE)


class OurBatches:
    """An epoch of batches, made as Skipwise makes them."""

    def __init__(self, images: Tensor, labels: Tensor, size: int):
        self.batches = Batches(
            InMemory(images, labels),
            fit_preprocessing(images),
            size=size,
            seed=0,
            device=torch.device(DEVICE),
        )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        made = (self.batches.at(step) for step in range(BATCHES))
        return ((batch.inputs, batch.targets) for batch in made)


def changed(name: str, *, bf16: bool = False, data: bool = False, compile: bool = False) -> Arm:
    """Train the usual network with another layout, perhaps with other things more."""
    (images, labels), size = pictures(*SETTINGS[name]), SETTINGS[name][1]
    usually = usual_loader(normalised(images), labels, batch=size)
    loader: Any = OurBatches(images, labels, size) if data else usually
    model = usual_model(name, 3, CLASSES).to(memory_format=torch.channels_last)
    number = torch.bfloat16 if bf16 else None

    class Inside(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.compile(model) if compile else model

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast(DEVICE, number, enabled=bf16):
                return self.inner(x.contiguous(memory_format=torch.channels_last)).float()

    return usual_steps(Inside(), loader, device=DEVICE)


def skipwise(name: str, compile: str = "off") -> Arm:
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
            compile=compile,
        )
        session = Session(experiment, data.load(), Path(folder) / "run")
        yield from (event for event in telling(session) if isinstance(event, Step))


def bare(name: str) -> Arm:
    """Forward, backward and update on one batch that is there already."""
    keep_freed_memory()
    side, batch = SETTINGS[name]
    images, labels = (part[:batch] for part in pictures(side, batch))
    ends = Ends(inputs=(3, side, side), outputs=(CLASSES,))
    model = place_model(vars(networks)[name]().build(ends), choose_device())
    inputs = normalised(images).contiguous(memory_format=torch.channels_last).to(DEVICE)
    labels = labels.to(DEVICE)
    optimiser, number = adam().build(model), autocast_type("auto", choose_device())
    while True:
        optimiser.zero_grad()
        with torch.autocast(DEVICE, number, enabled=number is not None):
            outputs = model(inputs)
        nn.functional.cross_entropy(outputs.float(), labels).backward()
        optimiser.step()
        yield None


ARMS: dict[str, Callable[[str], Arm]] = {
    "usual": usual,
    "layout": changed,
    "bf16": lambda name: changed(name, bf16=True),
    "data": lambda name: changed(name, bf16=True, data=True),
    "compile": lambda name: changed(name, bf16=True, compile=True),
    "skipwise": skipwise,
    "compiled": lambda name: skipwise(name, "on"),
    "bare": bare,
}


class Racer:
    """An arm in a process of its own, which takes steps when it is told to."""

    def __init__(self, name: str, arm: str, workers: int = 0):
        command = [sys.executable, __file__, "--racer", name, arm, str(workers)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, steps: int) -> float:
        """Have it take so many steps; give the seconds of one."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(steps, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def stop(self) -> float:
        """End it, and give the peak of its memory in MiB."""
        return float(self.process.communicate("0\n")[0])


def race(name: str, arm: str, workers: int) -> None:
    """Take steps as the numbers on standard input say, and print the seconds of one."""
    steps_of = usual(name, workers) if arm == "usual" else ARMS[arm](name)
    while count := int(input()):
        began = time.perf_counter()
        assert len(list(islice(steps_of, count))) == count
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        print((time.perf_counter() - began) / count, flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    peak = torch.cuda.max_memory_reserved() if DEVICE == "cuda" else peak
    print(peak / 2**20, flush=True)
    os._exit(0)  # arms go on for ever


def in_turn(racers: dict[str, Racer], rounds: int, steps: int) -> dict[str, list[float]]:
    """Let every arm take its steps in turn; give seconds a step, round by round."""
    found: dict[str, list[float]] = {name: [] for name in racers}
    for number in range(rounds + 1):
        for name, racer in racers.items():
            seconds = racer.ask(steps)
            if number:  # the first round warms up
                found[name].append(seconds)
    return found


def interval(values: list[float]) -> tuple[float, float, float]:
    """Give the median, and the order statistics that hold the true one with at least 95 %."""
    ordered, count = sorted(values), len(values)
    low = max(int(binom.ppf(0.025, count, 0.5)), 1)
    return statistics.median(ordered), ordered[low - 1], ordered[count - low]


def measure(name: str, told: argparse.Namespace) -> dict[str, Any]:
    """Measure all arms of a network."""
    trials = {str(workers): Racer(name, "usual", workers) for workers in (0, 1, 2)}
    found = in_turn(trials, 3, told.steps)
    for racer in trials.values():
        racer.stop()
    best = int(min(found, key=lambda workers: statistics.median(found[workers])))
    chosen = [arm for arm in ARMS if told.compile or arm not in ("compile", "compiled")]
    racers = {arm: Racer(name, arm, best) for arm in chosen}
    seconds = in_turn(racers, told.rounds, told.steps)
    memory = {arm: racer.stop() for arm, racer in racers.items()}
    return {"workers": best, "seconds": seconds, "memory": memory}


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
    words.add_argument("--racer", nargs=3, help=argparse.SUPPRESS)
    told = words.parse_args()
    if told.racer:
        name, arm, workers = told.racer
        return race(name, arm, int(workers))
    results: dict[str, Any] = {"conditions": conditions()}
    print(", ".join(f"{name} {value}" for name, value in results["conditions"].items()))
    for name in told.networks.split(","):
        results[name] = measure(name, told)
        told.out.write_text(json.dumps(results, indent=1))
        print(f"\n{in_words(name, results[name])}", flush=True)


if __name__ == "__main__":
    main()
