"""Time to 90 % and to 92 % test accuracy on Fashion-MNIST: Skipwise against the ways of others.

``python benchmarks/to_target.py`` trains every arm with every seed, each in a process of its own,
one after the other (seed 0 of all arms first), and prints a table; ``--out`` keeps what was
measured, and a second call goes on from there. The arms:

* ``skipwise``: ``skipwise train fashion-mnist --target 0.92``. Its clock holds its evaluations on
  validation data and its saves, and it trains on 55,000 pictures, since it keeps 5,000 for choices.
* ``usual``: torchvision's ResNet-18, Adam at 1e-3, float32: ``baseline.py``. 60,000 pictures.
* ``fastai``: ``vision_learner`` with ResNet-18 from scratch, its rate by ``lr_find``,
  ``fit_one_cycle``, flips; channels last. Its bfloat16 is for CUDA only.
* ``timm``: its ResNet-18, SGD with its script's rate for the batch, cosine with a warm-up of an
  epoch, smoothing 0.1, flips, averaged weights (the better of both counts); channels last as its
  script does them, and bfloat16 where the hardware multiplies it faster than float32.

The clock starts when the data are in memory and the model is made, and does not count evaluations
on the test part, which are taken after every epoch. fastai and timm are told their number of
epochs beforehand; with these none of them has reached 92 %. Beside the curves stands, under
``conditions``, what each was measured on.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from baseline import normalised, usual_loader, usual_model, usual_steps
from clock import Clock
from conditions import conditions
from torch import Tensor, nn

from skipwise.data import FashionMNIST
from skipwise.experiment import compose
from skipwise.records import EvaluationRecord
from skipwise.session import Session
from skipwise.training import choose_device, evaluate
from skipwise.training.device import has_fast_bfloat16

TARGETS = (0.90, 0.92)
BATCH, MOST_EPOCHS = 128, 8
PEER_EPOCHS = {"fastai": 8, "timm": 6}
DEVICE = choose_device().type
Parts = tuple[Tensor, Tensor, Tensor, Tensor]
Curve = list[dict[str, float]]


def pictures() -> Parts:
    """Give the official parts: 60,000 to train on and 10,000 to test, uint8, with labels."""
    data = FashionMNIST().load()
    assert data.validation is not None
    assert data.test is not None
    parts = [part.gather(torch.arange(len(part))) for part in (data.train, data.validation)]
    images, labels = (torch.cat(both) for both in zip(*parts, strict=True))
    return images, labels, *data.test.gather(torch.arange(len(data.test)))


def accuracy(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """Give the share of right answers in evaluation mode; the mode is put back."""
    was = model.training
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode():
        right = sum(
            int((model(x.to(device)).argmax(1).cpu() == y).sum())
            for x, y in zip(inputs.split(500), targets.split(500), strict=True)
        )
    model.train(was)
    return right / len(targets)


def usual(parts: Parts, clock: Clock) -> Iterator[float]:
    """Train the usual way."""
    images, labels, test, answers = parts
    mixed = normalised(torch.cat([images, test]))
    inputs, tests = mixed[: len(images)], mixed[len(images) :]
    model = usual_model("resnet18", 1, 10)
    loader = usual_loader(inputs, labels, batch=BATCH)
    clock.restart()
    for step, _ in enumerate(usual_steps(model, loader, device=DEVICE), 1):
        if step % len(loader) == 0:
            clock.halt()
            yield accuracy(model, tests, answers)
            clock.go_on()


def fastai(parts: Parts, clock: Clock) -> Iterator[float]:
    """Train fastai's way."""
    fast: Any = import_module("fastai.vision.all")

    images, labels, test, answers = parts
    mean, deviation = images.float().div(255).mean(), images.float().div(255).std()

    def pairs(inputs: Tensor, targets: Tensor) -> list:
        floats = inputs.float() / 255
        return [(fast.TensorImage(x), y) for x, y in zip(floats, targets, strict=True)]

    steps = [fast.Flip(), fast.Normalize.from_stats([mean], [deviation], cuda=False)]
    loaders = fast.DataLoaders.from_dsets(
        pairs(images, labels),
        pairs(test, answers),
        bs=BATCH,
        num_workers=0,
        after_batch=steps,
        device=torch.device(DEVICE),
    )
    loaders.c, found = 10, list[float]()

    class Watch(fast.Callback):
        order = 99

        def before_validate(self):
            clock.halt()  # fastai validates after each epoch, here on the test part

        def after_epoch(self):
            inputs = (test.float() / 255 - mean) / deviation
            found.append(accuracy(learner.model, inputs, answers))
            report(found[-1], clock)
            clock.go_on()

    learner = fast.vision_learner(
        loaders, fast.resnet18, pretrained=False, n_in=1, loss_func=nn.CrossEntropyLoss(), n_out=10
    )
    learner.to_channelslast(use_amp=False)
    clock.restart()
    with learner.no_bar(), learner.no_logging():
        rate = learner.lr_find(show_plot=False).valley
        learner.add_cb(Watch())
        learner.fit_one_cycle(PEER_EPOCHS["fastai"], rate)
    yield from ()


def timm(parts: Parts, clock: Clock) -> Iterator[float]:
    """Train timm's way."""
    import timm as library
    from timm.loss.cross_entropy import LabelSmoothingCrossEntropy
    from timm.optim._optim_factory import create_optimizer_v2
    from timm.scheduler.scheduler_factory import create_scheduler_v2
    from timm.utils.model_ema import ModelEmaV3

    images, labels, test, answers = parts
    mixed = normalised(torch.cat([images, test]))
    inputs, tests = mixed[: len(images)], mixed[len(images) :]
    loader, epochs = usual_loader(inputs, labels, batch=BATCH), PEER_EPOCHS["timm"]
    model = library.create_model("resnet18", num_classes=10, in_chans=1)
    model = model.to(DEVICE).to(memory_format=torch.channels_last)
    optimiser = create_optimizer_v2(model, opt="sgd", lr=0.05, weight_decay=2e-5, momentum=0.9)
    scheduler, _ = create_scheduler_v2(
        optimiser,
        sched="cosine",
        num_epochs=epochs,
        warmup_epochs=1,
        warmup_lr=1e-5,
        step_on_epochs=False,
        updates_per_epoch=len(loader),
    )
    assert scheduler is not None
    average = ModelEmaV3(model, decay=0.998, use_warmup=True)
    criterion, updates = LabelSmoothingCrossEntropy(0.1), 0
    fast = has_fast_bfloat16(torch.device(DEVICE))
    clock.restart()
    for _ in range(epochs):
        model.train()
        for x, y in loader:
            x, y = x.to(DEVICE), y.to(DEVICE)
            flipped = torch.where(torch.rand(len(x), 1, 1, 1, device=DEVICE) < 0.5, x.flip(-1), x)
            batch = flipped.contiguous(memory_format=torch.channels_last)
            with torch.autocast(DEVICE, torch.bfloat16, enabled=fast):
                loss = criterion(model(batch), y)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            updates += 1
            average.update(model, step=updates)
            scheduler.step_update(num_updates=updates)
        clock.halt()
        yield max(accuracy(m, tests, answers) for m in (model, average.module))
        clock.go_on()


def report(score: float, clock: Clock) -> None:
    """Print one point of an arm's curve, for the process above."""
    point = {"accuracy": score, "seconds": clock.seconds, "processor": clock.processor_seconds}
    print(json.dumps(point), flush=True)


def ours(_: Parts, clock: Clock) -> Iterator[float]:
    """Train with Skipwise's default for a target."""
    experiment, dataset = compose("fashion-mnist", target=max(TARGETS), seed=torch.initial_seed())
    assert dataset.test is not None
    clock.restart()
    with tempfile.TemporaryDirectory() as folder:
        session = Session(experiment, dataset, Path(folder) / "run")
        for event in session.events():
            if not isinstance(event, EvaluationRecord) or event.part != "validation":
                continue
            clock.halt()
            found = evaluate(
                session.run.chosen,
                dataset.test,
                dataset.preprocessing,
                session.task,
                part="test",
                autocast=session.run.autocast,
                views=experiment.views,
            )
            yield found.metrics["accuracy"]
            clock.go_on()


ARMS = {"skipwise": ours, "timm": timm, "fastai": fastai, "usual": usual}


def one(arm: str, seed: int) -> None:
    """Train one arm with one seed, printing its curve; ends when the highest target is reached."""
    torch.manual_seed(seed)
    torch.zeros(1, device=DEVICE)  # a GPU is opened before any arm's clock starts
    clock = Clock()
    for epoch, score in enumerate(ARMS[arm](pictures(), clock), 1):
        report(score, clock)
        if score >= max(TARGETS) or epoch == MOST_EPOCHS:
            break


def reached(curve: Curve, target: float, unit: str) -> float:
    """Give when a curve first reached a target; infinite where it did not."""
    return next((point[unit] for point in curve if point["accuracy"] >= target), float("inf"))


def epochs_to(curve: Curve, target: float) -> float:
    """Count the epochs until a curve first reached a target; infinite where it did not."""
    return next((n for n, p in enumerate(curve, 1) if p["accuracy"] >= target), float("inf"))


def shortest_epoch(curves: list[Curve]) -> float:
    """Give the seconds of the shortest epoch over all seeds, which nothing else disturbed."""
    ends = [[0.0, *(point["seconds"] for point in curve)] for curve in curves]
    return min(after - before for of_one in ends for before, after in pairwise(of_one))


def table(curves: dict[str, Any]) -> str:
    """Write medians and ranges over the seeds, and how many times as long as Skipwise each took.

    Beside the targets stands what all seeds of an arm reached. The ratio favours the others: it has
    their epochs at the pace of their shortest one, and Skipwise's seconds as they were.
    """
    of = {arm: [c for key, c in curves.items() if key.split()[0] == arm] for arm in ARMS}
    of = {arm: own for arm, own in of.items() if own}
    lines = [
        "| arm | seeds | to | seconds, median (range) | epochs | seconds by its shortest epoch"
        " | times Skipwise |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for arm, own in of.items():
        best = min(max(point["accuracy"] for point in curve) for curve in own)
        is_between = arm != "skipwise" and best < max(TARGETS)  # where Skipwise's curves end
        for target in [*TARGETS, *([best] if is_between else [])]:
            seconds = sorted(reached(curve, target, "seconds") for curve in own)
            ours = [reached(c, target, "seconds") for c in of.get("skipwise", [])]
            epochs = statistics.median(epochs_to(curve, target) for curve in own)
            is_ours = arm == "skipwise"
            at_best = epochs * shortest_epoch(own)
            beside = statistics.median(ours) if ours else float("inf")
            times = 1.0 if is_ours else at_best / beside
            ratio = f"{times:.1f}" if beside < float("inf") else ""
            shown = f"{target:.2%}" + (", its best" if target == best else "")
            if epochs == float("inf"):
                lines.append(f"| {arm} | {len(own)} | {shown} | not reached | | | |")
                continue
            paced = "| |" if is_ours else f"{epochs:.0f} | {at_best:.0f} |"
            lines.append(
                f"| {arm} | {len(own)} | {shown} | {statistics.median(seconds):.0f}"
                f" ({seconds[0]:.0f} to {seconds[-1]:.0f}) | {paced} {ratio} |".replace(
                    "inf", "never"
                )
            )
    return "\n".join(lines)


def main() -> None:
    """Run what is not there yet, and print the table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--arms", default=",".join(ARMS))
    words.add_argument("--seeds", type=int, default=3)
    words.add_argument("--out", type=Path, default=Path("to_target.json"))
    words.add_argument("--one", nargs=2, metavar=("ARM", "SEED"), help=argparse.SUPPRESS)
    told = words.parse_args()
    if told.one:
        return one(told.one[0], int(told.one[1]))
    curves = json.loads(told.out.read_text()) if told.out.exists() else {}
    for seed in range(told.seeds):
        for arm in told.arms.split(","):
            key = f"{arm} {seed}"
            if key in curves:
                continue
            command = [sys.executable, __file__, "--one", arm, str(seed)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            points = [line for line in done.stdout.splitlines() if line.startswith("{")]
            curves[key] = [json.loads(line) for line in points]
            curves.setdefault("conditions", {})[key] = conditions("fastai", "timm")
            told.out.write_text(json.dumps(curves, indent=1))
            print(key, curves[key][-1] if curves[key] else "nothing", flush=True)
    print(", ".join(f"{name} {value}" for name, value in conditions().items()))
    print(table(curves))


if __name__ == "__main__":
    main()
