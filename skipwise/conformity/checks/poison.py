"""One gradient that is not a number is noticed, never trained on in silence."""

import math

import torch
from torch import Tensor

from skipwise.conformity.outcome import Outcome, judged
from skipwise.conformity.rehearsal import rehearsal
from skipwise.strategies import Strategy
from skipwise.training import train

POISONED = 2  # the step, counted from 1


def poison_is_said(strategy: Strategy) -> Outcome:
    """After a NaN in one gradient neither norm nor weights are finite, so the run stops."""
    run = rehearsal(strategy, steps=4)
    parameter = next(p for n, p in run.model.named_parameters() if n.startswith("trunk"))

    def poison(gradient: Tensor) -> Tensor:
        if run.step != POISONED - 1:
            return gradient
        broken = gradient.clone()
        broken.view(-1)[0] = math.nan
        return broken

    parameter.register_hook(poison)
    said = is_finite = True
    for step in train(run):
        if step.step == POISONED:
            said = not torch.isfinite(step.gradient_norm).item()
            is_finite = run.is_finite()
            break
    if not said:
        return judged(False, "the norm of a gradient with a NaN is said to be finite")
    if is_finite:
        return judged(False, "all weights are finite after a NaN in a gradient, so nobody is told")
    return judged(
        True, "without a guard the NaN reaches the weights, and the run stops and says it"
    )
