"""Averaged weights are evaluated with BatchNorm statistics of their own."""

import copy
import math

import torch
from torch import nn

from skipwise.conformity.outcome import Outcome, judged, not_due
from skipwise.conformity.rehearsal import BATCH, EXAMPLES, finish, rehearsal
from skipwise.strategies import Strategy
from skipwise.training import Run

CLOSE = 1e-9


def statistics_are_of_its_weights(strategy: Strategy) -> Outcome:
    """Means and variances are those of the activations that the evaluated weights themselves give.

    They are computed again here from a hook before each norm, not by the norms.
    """
    run = finish(rehearsal(strategy))
    if run.chosen is run.model and _is_same_in_evaluation(run):
        return not_due("the weights of the training are evaluated, with the statistics it left")
    model = run.evaluated()
    wanted = _seen(run, copy.deepcopy(model))
    error = 0.0
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            mean, variance = wanted[name]
            error = max(error, _apart(module.running_mean, mean))
            error = max(error, _apart(module.running_var, variance))
    return judged(
        error <= CLOSE,
        f"statistics of {len(wanted)} norms differ by {error:.1e} from those of the weights' own"
        " activations",
        error=error,
    )


def _is_same_in_evaluation(run: Run) -> bool:
    before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    return all(torch.equal(before[n], p) for n, p in run.evaluated().named_parameters())


class _Moments:
    """A hook that notes mean and variance of what a norm reads."""

    def __init__(self, found: list[tuple[torch.Tensor, torch.Tensor]]):
        self.found = found

    def __call__(self, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        read = inputs[0]
        self.found.append((read.mean((0, 2, 3)), read.var((0, 2, 3), unbiased=True)))


def _seen(run: Run, model: nn.Module) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Give the mean over the batches of each batch's mean and (unbiased) variance, by norm."""
    found: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(_Moments(found.setdefault(name, [])))
    model.train()
    with torch.no_grad():
        for step in range(math.ceil(EXAMPLES / BATCH)):
            model(run.batches.at(step, mixed=False).inputs)
    return {
        name: (
            torch.stack([m for m, _ in pairs]).mean(0),
            torch.stack([v for _, v in pairs]).mean(0),
        )
        for name, pairs in found.items()
    }


def _apart(found: torch.Tensor, wanted: torch.Tensor) -> float:
    scale = wanted.abs().max().clamp(min=1e-300)
    return float((found - wanted).abs().max() / scale)
