"""The coordinate check: does the stream move alike at every depth in the first steps?

At each depth the network takes a few steps at a constant rate, and ``mean |x_L(t) − x_L(0)|`` over
the stream after the last block, on one batch, is what it moved. On log L the slope of its log is 0
where the parametrisation is right.

Source: Yang, Hu (2021), "Tensor programs IV", and the code of mup, ``coord_check``, for width; for
depth as in Dey et al. (2025), CompleteP, figure 4.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from skipwise.data import Batch, Dataset
from skipwise.experiment import Experiment
from skipwise.networks import Network
from skipwise.randomness import examples, seeded
from skipwise.strategies import Constant
from skipwise.tuning.trials import begun, losses_of

STEPS = 5


def movement(experiment: Experiment, dataset: Dataset, *, seed: int) -> list[float]:
    """Give how far the last stream has moved after each of the first five steps.

    Of a module that is no :class:`skipwise.networks.Network` the output stands for the stream.
    """
    strategy = replace(experiment.strategy, schedule=Constant(), averaging=None, freezing=None)
    moved = []
    with begun(replace(experiment, strategy=strategy), dataset, seed, STEPS) as (run, _):
        probe = run.batches.at(0)
        run.begin_training()
        first = _stream(run.model, probe, seed)
        for _ in losses_of(run):
            moved.append(float((_stream(run.model, probe, seed) - first).abs().mean()))
    return moved


@torch.no_grad()
def _stream(model: nn.Module, batch: Batch, seed: int) -> Tensor:
    """Give the stream at the end of the trunk; what is random in the layers is so in one way."""
    assert batch.keys is not None
    with seeded(seed, "movement"), examples(batch.keys):
        if isinstance(model, Network):
            return model.trunk(model.stem(batch.inputs))
        return model(batch.inputs)


def movement_slope(moved: Mapping[int, Sequence[float]]) -> float:
    """Give the slope of log movement on log depth, with a constant of its own for each step.

    >>> round(movement_slope({2: [2.0, 8.0], 8: [4.0, 16.0]}), 6)
    0.5

    Args:
        moved: Of each depth, after each step; infinite or NaN gives an infinite slope, and so does
            one that stands still where another moves. A step in which none moves says nothing: the
            first of SOAP only begins its matrices.
    """
    depths = sorted(moved)
    across = np.log(depths) - np.log(depths).mean()
    table = np.array([moved[depth] for depth in depths])
    table = table[:, (table != 0).any(0)]
    if not table.size or not np.isfinite(table).all() or (table <= 0).any():
        return math.inf
    return float((across @ np.log(table)).mean() / (across @ across))
