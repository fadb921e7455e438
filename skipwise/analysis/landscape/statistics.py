"""The loss where a model stands, with BatchNorm's statistics by one of three rules.

``batch``: training mode, every batch by its own. ``recomputed``: evaluation mode with statistics
that are averaged anew over the batches, at these weights. ``stored``: evaluation mode with the
statistics that the model holds, which belong to the weights it was trained to; elsewhere they make
walls that training would not meet.
"""

from typing import Literal, get_args

import torch

from skipwise.analysis.curvature import Objective
from skipwise.analysis.problem import BATCH_NORM
from skipwise.randomness import seeded

Statistics = Literal["batch", "recomputed", "stored"]


def checked(statistics: Statistics) -> Statistics:
    """Give it back.

    Raises:
        ValueError: If it is no rule.
    """
    if statistics not in get_args(Statistics):
        raise ValueError(
            f"statistics must be {', '.join(get_args(Statistics))}, got {statistics!r}"
        )
    return statistics


def loss_here(held: Objective, statistics: Statistics) -> float:
    """Compute the mean loss over the batches; ``held`` is in training mode for ``batch`` only."""
    if statistics == "recomputed":
        recompute_statistics(held)
    return held.loss()


def recompute_statistics(held: Objective) -> None:
    """Set the running statistics of every BatchNorm to the mean over the batches, at these weights.

    Other layers stay in evaluation mode. All norms are estimated in one pass, each from inputs that
    were normalised by their batch.
    """
    modules = held.problems[0].model.modules()
    norms = [m for m in modules if isinstance(m, BATCH_NORM) and m.running_mean is not None]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
            norm.train()
        with torch.no_grad():
            for index, problem in enumerate(held.problems):
                with seeded(held.seed, "statistics", index):
                    problem.output()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def words(statistics: Statistics) -> str:
    """Say the rule in a sentence."""
    return {
        "batch": "BatchNorm by the statistics of each batch, in training mode",
        "recomputed": "BatchNorm by statistics averaged anew over the batches at every point",
        "stored": "BatchNorm by the statistics that are stored, which belong to one point only",
    }[statistics]
