"""An average equals its formula, and is evaluated with BatchNorm statistics of its own."""

import copy
import math

import numpy as np
import torch
from torch import nn

from skipwise.conformity.changing import allowed_variants, paths
from skipwise.conformity.formulas import average_of
from skipwise.conformity.outcome import EXACT, Outcome, judged, not_due, unjudged
from skipwise.conformity.problem import changed, difference
from skipwise.conformity.rehearsal import BATCH, EXAMPLES, finish, rehearsal, weights_of
from skipwise.strategies import Strategy
from skipwise.training import Run, train

CLOSE = 1e-9
STEPS = 12


def average_equals_its_formula(strategy: Strategy) -> Outcome:
    """After every step the average is what its formula makes of all the weights so far.

    So it is with each of its numbers changed to all that its checks let pass, and of weights that
    all learn and of which none was refused.
    """
    if strategy.averaging is None:
        return not_due("no weights are averaged beside the rule")
    if average_of(strategy.averaging) is None:
        return unjudged("there is no formula of this average in the package to compare with")
    plain = changed(strategy, guard=None, freezing=None)
    others = [
        other
        for path, values in paths(strategy.averaging, "averaging.")
        for other in allowed_variants(plain, path, values)
    ]
    one = _from_formula(plain)
    varied = float(np.max([_from_formula(other) for other in others], initial=0.0))
    return judged(
        one <= EXACT and varied <= EXACT,
        f"differs from its formula by {one:.1e} of the way in {STEPS} steps, by {varied:.1e} with"
        f" {len(others)} changes of numbers",
        one=one,
        varied=varied,
    )


def _from_formula(strategy: Strategy) -> float:
    """Give the largest difference after any step, in units of the larger way from the start.

    Until a weight has moved it is in units of the weights: SOAP's first step moves none, and the
    average of equal weights is another by a rounding.
    """
    run, rule = rehearsal(strategy, steps=STEPS), strategy.averaging
    assert run.average is not None
    assert rule is not None
    formula = average_of(rule)
    assert formula is not None
    start, taken, apart = weights_of(run.average.model), [], []
    nothing = {name: np.zeros_like(w) for name, w in start.items()}
    origin = nothing
    for _ in train(run):
        taken.append(weights_of(run.model))
        if any((w != start[name]).any() for name, w in taken[-1].items()):
            origin = start
        wanted = formula(rule, start, taken, STEPS)
        apart.append(difference(weights_of(run.average.model), wanted, origin))
    return float(np.max(apart))


def statistics_are_of_its_weights(strategy: Strategy) -> Outcome:
    """Means and variances are those of the activations that the evaluated weights themselves give.

    They are computed again here from a hook before each norm, not by the norms; what has stopped
    keeps its own.
    """
    run = finish(rehearsal(strategy))
    if run.chosen is run.model and _is_same_in_evaluation(run):
        return not_due("the weights of the training are evaluated, with the statistics it left")
    model = run.evaluated()
    wanted = _seen(run, copy.deepcopy(model))
    wanted |= {name: _kept(run.model.get_submodule(name)) for name in _norms(model) - set(wanted)}
    if not wanted:
        return not_due("the network has no norm that keeps statistics")
    error = 0.0
    for name, (mean, variance) in wanted.items():
        found = zip(_kept(model.get_submodule(name)), (mean, variance), strict=True)
        error = float(np.max([error, *(_apart(now, then) for now, then in found)]))
    return judged(
        error <= CLOSE,
        f"statistics of {len(wanted)} norms differ by {error:.1e} from those of the weights' own"
        " activations",
        error=error,
    )


def _norms(model: nn.Module) -> set[str]:
    return {name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}


def _kept(module: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the running mean and variance of a norm."""
    assert isinstance(module, nn.BatchNorm2d)
    assert module.running_mean is not None
    assert module.running_var is not None
    return module.running_mean, module.running_var


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
    model.train()
    for name in run.still:
        model.get_submodule(name).eval()
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d) and module.training:
            module.register_forward_pre_hook(_Moments(found.setdefault(name, [])))
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
