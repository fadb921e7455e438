"""Gradients that are added up over the parts of a batch give the step of the whole batch."""

import numpy as np
import torch
from torch import nn

from skipwise.conformity.outcome import EXACT, Outcome, judged, steadied, tolerance
from skipwise.conformity.problem import difference
from skipwise.conformity.rehearsal import WITHOUT_NORMS, finish, rehearsal, weights_of
from skipwise.strategies import Strategy
from skipwise.training import Run, accumulate, with_own_statistics

PARTS = 3  # of 8 examples: they are not equally large
ROUNDING = 1e-15


def accumulates_exactly(strategy: Strategy) -> Outcome:
    """In parts or whole, the weights are the same (float64, no statistics of a batch).

    A rule whose weights already part where the start is rounded otherwise cannot be held to that:
    there the gradients of all steps are compared, at the same weights.
    """
    strategy = steadied(strategy)
    whole, parted = (_alone(strategy, parts) for parts in (1, PARTS))
    start = weights_of(whole.model)
    gradients = _gradients_apart(whole, parted)
    one, other = (weights_of(finish(run).model) for run in (whole, parted))
    apart = difference(one, other, start)
    sentence = f"in {PARTS} parts the weights differ by {apart:.1e} of the way after 6 steps"
    if apart <= tolerance(strategy.optimiser):
        return judged(True, sentence, apart=apart)
    rounded = _alone(strategy, 1)
    with torch.no_grad():
        for parameter in rounded.model.parameters():
            parameter.mul_(1 + ROUNDING)
    by_rounding = difference(one, weights_of(finish(rounded).model), start)
    if by_rounding <= tolerance(strategy.optimiser):
        return judged(False, sentence, apart=apart)
    return judged(
        gradients <= EXACT,
        f"{sentence}, as they do by {by_rounding:.1e} where the start is another by a rounding, so"
        f" its gradients are compared at the same weights: they differ by {gradients:.1e}",
        apart=apart,
        by_rounding=by_rounding,
        gradients=gradients,
    )


def _alone(strategy: Strategy, parts: int) -> Run:
    """Rehearse where no example sees another: without norms, or with fixed statistics of theirs.

    Norms there are where the strategy treats them apart.
    """
    if "norm" not in {*strategy.rates, *strategy.decay_factors}:
        return rehearsal(strategy, network=WITHOUT_NORMS, parts=parts)
    run = rehearsal(strategy, parts=parts)
    with_own_statistics(run.model, run.batches, autocast=None)
    run.frozen = tuple(m for m in run.model.modules() if isinstance(m, nn.BatchNorm2d))
    run.begin_training()
    return run


def _gradients_apart(whole: Run, parted: Run) -> float:
    """Give the largest difference of the two batches' gradients, in units of the larger one."""
    error = 0.0
    for step in range(whole.steps):
        found = []
        for run in (whole, parted):
            run.optimiser.zero_grad(set_to_none=True)
            accumulate(run, run.batches.at(step), run.loss)
            found.append([p.grad for p in run.model.parameters() if p.grad is not None])
            run.optimiser.zero_grad(set_to_none=True)
        for one, other in zip(*found, strict=True):
            scale = max(float(one.abs().max()), 1e-300)
            error = float(np.maximum(error, float((one - other).abs().max()) / scale))
    return error
