"""What a torch optimiser does to a gradient, as plain numbers: its rule and its preconditioner."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from skipwise.analysis.curvature.stability import Rule, adam_preconditioner
from skipwise.analysis.spectra import Flat, Operator, preconditioned, shifted


@runtime_checkable
class Computing(Protocol):
    """An optimiser of its own class that says whose updates it computes."""

    computes: type[Optimizer]


def kind_of(optimiser: Optimizer) -> type[Optimizer]:
    """Give the class whose updates an optimiser computes: its own, unless it says another."""
    return optimiser.computes if isinstance(optimiser, Computing) else type(optimiser)


@dataclass(frozen=True, kw_only=True)
class InUse:
    """An optimiser at one step, for the parameters in the order of a flat vector.

    Args:
        rule: With the largest rate of its groups.
        preconditioner: P's diagonal; the identity where None. It holds the rates too: a group with
            half of the largest rate has twice the P, and one that does not move infinity.
        decay: Weight decay inside the gradient, which adds to the curvature.
    """

    rule: Rule
    preconditioner: Flat | None = None
    decay: Flat | float = 0.0

    def seen(self, hessian: Operator) -> Operator:
        """Give ``P^-½(H + decay)P^-½``, whose largest eigenvalue the rule's limit is about."""
        matrix = shifted(hessian, self.decay)
        if self.preconditioner is None:
            return matrix
        return preconditioned(matrix, self.preconditioner.to(hessian.device))


def in_use(optimiser: Optimizer | Rule, parameters: Mapping[str, nn.Parameter]) -> InUse:
    """Read rule, preconditioner and decay off an optimiser; a :class:`Rule` is taken as it is.

    Args:
        optimiser: SGD, Adam or AdamW of torch, or what says that it computes the same.
        parameters: By name, in the order of the flat vector.

    Raises:
        TypeError: If it is another optimiser.
        ValueError: If its groups differ in momentum, a parameter is in none of them, or Adam has
            taken no step.
    """
    if isinstance(optimiser, Rule):
        return InUse(rule=optimiser)
    if kind_of(optimiser) not in (SGD, Adam, AdamW):
        raise TypeError(
            f"the stability limit of {type(optimiser).__name__} is not known; give its rule in"
            " plain numbers: Rule(rate=…, momentum=…, dampening=…, nesterov=…)"
        )
    groups = [_group_of(optimiser, name, p) for name, p in parameters.items()]
    rate = max(float(group["lr"]) for group in groups)
    rule = _one(_rule(optimiser, group, rate) for group in groups)
    pairs = list(zip(parameters.values(), groups, strict=True))
    # A decoupled decay is in the rule; Adam's own and SGD's stand inside the gradient.
    coupled = [0.0 if rule.decay else float(group["weight_decay"]) for group in groups]
    alike = isinstance(optimiser, SGD) and all(float(g["lr"]) == rate for g in groups)
    return InUse(
        rule=rule,
        preconditioner=None
        if alike
        else torch.cat([_diagonal(optimiser, *p, rate) for p in pairs]),
        decay=torch.cat([_full(p, d) for (p, _), d in zip(pairs, coupled, strict=True)]),
    )


def _group_of(optimiser: Optimizer, name: str, parameter: nn.Parameter) -> dict:
    for group in optimiser.param_groups:
        if any(parameter is held for held in group["params"]):
            return group
    raise ValueError(
        f"the optimiser does not hold the parameter {name!r}, so it is the optimiser of another"
        " model; pass the one that trains this model"
    )


def _rule(optimiser: Optimizer, group: dict, rate: float) -> Rule:
    if isinstance(optimiser, SGD):
        return Rule(
            rate=rate,
            momentum=group["momentum"],
            dampening=group["dampening"] if group["momentum"] else 0.0,
            nesterov=group["nesterov"],
        )
    beta, decoupled = float(group["betas"][0]), group.get("decoupled_weight_decay", False)
    decay = float(group["weight_decay"]) if decoupled or isinstance(optimiser, AdamW) else 0.0
    return Rule(rate=rate, momentum=beta, dampening=beta, decay=decay)


def _one(rules) -> Rule:
    """Give the rule that all groups share; of decays the largest, whose limit is the lowest.

    Raises:
        ValueError: If they differ in momentum.
    """
    found = {(r.momentum, r.dampening, r.nesterov): r for r in sorted(rules, key=lambda r: r.decay)}
    if len(found) > 1:
        raise ValueError(
            "the groups of the optimiser differ in momentum, so there is no one limit; measure one"
            " group: of='pattern of its parameters'"
        )
    return next(iter(found.values()))


def _diagonal(optimiser: Optimizer, parameter: nn.Parameter, group: dict, rate: float) -> Tensor:
    slower = rate / float(group["lr"]) if group["lr"] else math.inf
    if isinstance(optimiser, SGD):
        return _full(parameter, slower)
    state = optimiser.state.get(parameter, {})
    moment = state.get("max_exp_avg_sq", state.get("exp_avg_sq", torch.zeros_like(parameter)))
    beta1, beta2 = map(float, group["betas"])
    return slower * adam_preconditioner(
        moment.detach().reshape(-1),
        step=int(state.get("step", 0)),
        beta1=beta1,
        beta2=beta2,
        epsilon=group["eps"],
    )


def _full(parameter: nn.Parameter, value: float) -> Tensor:
    return torch.full((parameter.numel(),), value, dtype=torch.float32, device=parameter.device)
