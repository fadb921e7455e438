"""Short real trainings, all alike but for the network: the article's momentum, the same batches."""

import math
from contextlib import closing

import torch

from skipwise.data import Data, Dataset
from skipwise.experiment import Experiment, build
from skipwise.lessons.chain import Design
from skipwise.lessons.clock import Clock
from skipwise.reports.lesson.record import Training
from skipwise.strategies import SGD, Constant, Strategy
from skipwise.training import Run, train

MOMENTUM, DECAY = 0.9, 1e-4
WORDS = f"heavy ball {MOMENTUM:g}, decay {DECAY:g}, constant rate"


def strategy(rate: float) -> Strategy:
    """Give the article's rule: momentum 0.9, decay 1e-4.

    Source: He et al. (2015), section 4.2. Differs: these runs are too short for its steps in the
    rate, which stays as it is.
    """
    return Strategy(
        name="momentum",
        optimiser=SGD(momentum=MOMENTUM),
        peak_lr=rate,
        schedule=Constant(),
        weight_decay=DECAY,
    )


def trained(
    key: str, depth: int, experiment: Experiment, dataset: Dataset, clock: Clock
) -> Training | None:
    """Train one network, and count its errors on the training examples.

    Args:
        key: Of the design.
        depth: Layers.
        experiment: As :func:`training_of` makes it.
        dataset: Its data, loaded.
        clock: Stops it where the time is over.

    Returns:
        None if the time was over before the end.
    """
    run, _ = build(experiment, dataset)
    losses: list[float] = []
    with closing(run.batches):
        for step in train(run):
            losses.append(float(step.loss))
            if clock.left <= 0:
                return None
            if not math.isfinite(losses[-1]):
                break
        error = errors(run) if math.isfinite(losses[-1]) else math.nan
    return Training(
        design=key, depth=depth, seed=experiment.seed, losses=tuple(losses), error=error
    )


def training_of(
    data: Data, design: Design, depth: int, *, width: int, steps: int, seed: int, batch: int
) -> Experiment:
    """Describe the training of one network: nothing is augmented or reduced in precision."""
    return Experiment(
        data=data,
        network=design.chain(depth, width),
        strategy=strategy(design.rate),
        steps=steps,
        seed=seed,
        batch_size=batch,
        augmentation=(),
        precision="float32",
        compile="off",
    )


@torch.no_grad()
def errors(run: Run) -> float:
    """Give the share of wrong answers over about one pass through the training part.

    The network stays in training mode: the running statistics of so short a training lag behind,
    and would be judged with it.
    """
    run.model.train()
    wrong = seen = 0
    for number in range(max(len(run.batches.examples) // run.batches.size, 1)):
        batch = run.batches.at(run.step + number)
        answers = run.model(batch.inputs).argmax(1)
        wrong += int((answers != batch.targets).sum())
        seen += len(batch)
    return wrong / seen
