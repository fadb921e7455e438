"""One gradient that is not a number is noticed, never trained on in silence."""

import copy
import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from skipwise.conformity.outcome import Outcome, judged
from skipwise.conformity.problem import changed
from skipwise.conformity.rehearsal import equal, rehearsal
from skipwise.strategies import Guard, Strategy
from skipwise.training import Run, Step, train

POISONED = 2  # the step, counted from 1


def poison_is_said(strategy: Strategy) -> Outcome:
    """After a NaN in one gradient norm and weights, or the rule's state, have it: the run stops.

    With a guard the step is skipped, and weights, state and average are what they were.
    """
    run = _poisoned(changed(strategy, guard=None))
    step = _walk_to(run)
    if torch.isfinite(step.gradient_norm).item() and torch.isfinite(step.loss).item():
        return judged(False, "the norm of a gradient with a NaN is said to be finite")
    if run.is_finite():
        said = "weights and state are finite after a NaN in a gradient, so nobody is told"
        return judged(False, said)
    if not strategy.optimiser.can_skip:
        return judged(True, "the NaN reaches the weights, and the run stops; it cannot be guarded")
    guarded = _poisoned(changed(strategy, guard=strategy.guard or Guard()))
    before = _state_before(guarded)
    step = _walk_to(guarded)
    after = _state(guarded)
    moved = [part for part, value in before.items() if not equal(value, after[part])]
    if not step.skipped or moved:
        what = moved[0] if moved else "the step counts as taken"
        return judged(False, f"a guard is set, and a NaN in a gradient changes it: {what}")
    return judged(
        True,
        "without a guard the NaN reaches the weights or the rule's state, and the run stops and"
        " says it; with one the step is skipped and every tensor is as before",
    )


def _poisoned(strategy: Strategy) -> Run:
    run = rehearsal(strategy, steps=4, double=False)
    behind = [p for n, p in run.model.named_parameters() if not n.startswith("stem")]

    def poison(parameter: nn.Parameter, gradient: Tensor) -> Tensor:
        first = next(p for p in behind if p.requires_grad)  # of the head, where the trunk stopped
        if run.step != POISONED - 1 or parameter is not first:
            return gradient
        broken = gradient.clone()
        broken.view(-1)[0] = math.nan
        return broken

    for parameter in behind:
        parameter.register_hook(partial(poison, parameter))
    return run


def _walk_to(run: Run) -> Step:
    """Train to the poisoned step, and give it."""
    return next(step for step in train(run) if step.step == POISONED)


def _state_before(run: Run) -> dict[str, Any]:
    """Train up to the poisoned step, and give the state."""
    next(step for step in train(run) if step.step == POISONED - 1)
    return copy.deepcopy(_state(run))


def _state(run: Run) -> dict[str, Any]:
    """Give the state without what a skipped step changes too: the counter, the rate, statistics."""
    state = run.training_state()
    groups = [
        {name: value for name, value in group.items() if name != "lr"}
        for group in state["optimiser"]["param_groups"]
    ]
    parameters = dict(run.model.named_parameters())
    return {
        **{part: value for part, value in state.items() if part not in ("step", "model")},
        "optimiser": {**state["optimiser"], "param_groups": groups},
        "model": {name: parameters[name].detach() for name in parameters},
    }
