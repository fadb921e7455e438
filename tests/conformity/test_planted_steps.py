"""Bugs of a rule's step that one part of a check alone can see."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch.optim import Optimizer

from skipwise.conformity import CHECKS
from skipwise.strategies import LARS, SGD, Strategy, lars, momentum
from skipwise.strategies.optimisers import Groups
from tests.conformity.planted import swapped

BY_NAME = {check.name: check for check in CHECKS}


def rule_of(kind: type[torch.optim.SGD]) -> type[SGD]:
    """Give the description of a descent with a bug."""

    @dataclass(frozen=True, kw_only=True)
    class Rule(SGD):
        def build(self, groups: Groups, *, rate: float) -> Optimizer:
            return kind(groups, lr=rate, momentum=self.momentum, nesterov=self.nesterov)

    return Rule


class ForgetsWhoComesLate(torch.optim.SGD):
    """Learns what had a gradient in the first step."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        with torch.enable_grad():
            loss = closure()
        known = set(self.state)
        for group in self.param_groups:
            for parameter in group["params"] if known else ():
                parameter.grad = parameter.grad if parameter in known else None
        super().step()
        return loss


class GoesOnWithout(torch.optim.SGD):
    """Moves along the momentum where there is no gradient any more."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is None):
                velocity = self.state.get(parameter, {}).get("momentum_buffer")
                if velocity is not None:
                    parameter.add_(velocity, alpha=-group["lr"])
        return loss


class DecaysBeforeItAsks(torch.optim.SGD):
    """A step that is refused in the closure has changed the weights already."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
        return super().step(closure)


class OtherwiseInOneKernel(torch.optim.SGD):
    """Decays a little more in the foreach implementation."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"] if group["foreach"] else ():
                parameter.mul_(1 - 1e-5)
        return loss


class AddsANumber(torch.optim.SGD):
    """To every gradient, which small gradients alone show."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        with torch.enable_grad():
            loss = closure()
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                parameter.grad.add_(1e-11)
        super().step()
        return loss


@dataclass(frozen=True, kw_only=True)
class TrustsTwice(LARS):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return LARS(momentum=self.momentum, trust=2 * self.trust).build(groups, rate=rate)


# The bug, the check that must find it, and what it says.
BUGS: dict[str, tuple[Callable[[], Strategy], type, str, str]] = {
    "late gradients are lost": (
        momentum,
        rule_of(ForgetsWhoComesLate),
        "absent",
        "is lost once its gradient comes",
    ),
    "momentum without a gradient": (
        momentum,
        rule_of(GoesOnWithout),
        "absent",
        "has a gradient no more and moves",
    ),
    "decay before the gradient": (
        momentum,
        rule_of(DecaysBeforeItAsks),
        "NaN",
        "a guard is set, and a NaN in a gradient changes it: model",
    ),
    "one kernel of two": (momentum, rule_of(OtherwiseInOneKernel), "kernels", "foreach by"),
    "a number beside the gradient": (
        momentum,
        rule_of(AddsANumber),
        "formula",
        "another gradient, a ten thousandth",
    ),
    "twice the trust": (lars, TrustsTwice, "symmetry", "its length times the rate"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_of_the_step_is_found(bug: str):
    base, kind, name, words = BUGS[bug]
    outcome = BY_NAME[name](swapped(base, kind)())
    assert outcome.passed is False
    assert words in outcome.sentence
