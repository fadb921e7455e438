"""What is judged of a rule that is not ours, what cannot be, and how the table says so."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from skipwise.conformity import CHECKS, NOT_OURS, UNJUDGED
from skipwise.strategies import (
    SAM,
    Averaging,
    GradientTransform,
    Muon,
    Strategy,
    lbfgs,
    radam,
    sgd,
)
from skipwise.strategies import Optimiser as Rule
from skipwise.strategies.optimisers import Groups
from skipwise.strategies.optimisers.wrapping import asked
from skipwise.strategies.transforms import Applied, Learning, State
from tests.cli.commands import call

BY_NAME = {check.name: check for check in CHECKS}


class Once(Optimizer):
    """Momentum, and a decay apart from it."""

    updates: ClassVar[int] = 1

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = asked(closure)
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                for _ in range(self.updates):
                    self.decay(parameter, group["lr"], group["weight_decay"])
                    velocity = self.state[parameter].setdefault("v", torch.zeros_like(parameter))
                    velocity.mul_(0.9).add_(parameter.grad)
                    parameter.add_(velocity, alpha=-group["lr"])
        return loss

    def decay(self, parameter: nn.Parameter, rate: float, decay: float) -> None:
        parameter.mul_(1 - rate * decay)


class Doubled(Once):
    updates = 2


class Thrice(Once):
    def decay(self, parameter: nn.Parameter, rate: float, decay: float) -> None:
        parameter.mul_((1 - rate * decay) ** 3)


class InHalves(Once):
    def decay(self, parameter: nn.Parameter, rate: float, decay: float) -> None:
        parameter.mul_((1 - rate * decay / 2) ** 2)


class Exponential(Once):
    def decay(self, parameter: nn.Parameter, rate: float, decay: float) -> None:
        parameter.mul_(math.exp(-rate * decay))


class Proximal(Once):
    def decay(self, parameter: nn.Parameter, rate: float, decay: float) -> None:
        parameter.div_(1 + rate * decay)


class WithoutRate(Once):
    def decay(self, parameter: nn.Parameter, rate: float, decay: float) -> None:
        parameter.mul_(1 - decay)


class OfTheSquare(Once):
    """The gradient of λ‖w‖² is 2λw."""

    def decay(self, parameter: nn.Parameter, rate: float, decay: float) -> None:
        parameter.mul_(1 - 2 * rate * decay)


class AsksAndDecaysTwice(Once):
    def step(self, closure: Any = None) -> Any:
        super().step(closure)
        return super().step(closure)


class CoupledNesterov(torch.optim.SGD):
    def __init__(self, groups: Any, defaults: dict[str, Any]):
        super().__init__(groups, momentum=0.93, nesterov=True, **defaults)


class CoupledAdam(torch.optim.Adam):
    def __init__(self, groups: Any, defaults: dict[str, Any]):
        super().__init__(groups, **defaults)


class DoubledAdam(CoupledAdam):
    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        super().step()
        return loss


class AdamOfTwoGradients(CoupledAdam):
    def step(self, closure: Any = None) -> Any:
        super().step(closure)
        return super().step(closure)


class KeepsALength(CoupledAdam):
    """What it calls its step is no count."""

    def step(self, closure: Any = None) -> Any:
        for state in self.state.values():
            state["step"] = torch.tensor(float(state["length"]))
        loss = super().step(closure)
        for state in self.state.values():
            state["length"] = 2 * state.get("length", 1.0)
            state["step"] = torch.tensor(float(state["length"]))
        return loss


@dataclass(frozen=True, kw_only=True)
class Own(Rule):
    kind: type[Optimizer] = Once

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        make: Any = self.kind
        return make(groups, {"lr": rate, "weight_decay": 0.0})


def with_rule(rule: Rule) -> Strategy:
    return Strategy(name="own", optimiser=rule, peak_lr=0.05, weight_decay=0.01)


@pytest.mark.parametrize("rule", [Own(), SAM(base=Own())], ids=["alone", "within"])
def test_a_decay_apart_from_the_gradient_is_judged(rule: Rule):
    outcome = BY_NAME["decay"](with_rule(rule))
    assert outcome.passed, outcome.sentence


@pytest.mark.parametrize(("kind", "power"), [(Doubled, 2), (Thrice, 3)])
def test_a_decay_over_again_is_found(kind: type[Optimizer], power: int):
    for strategy in (with_rule(Own(kind=kind)), replace(with_rule(Own(kind=kind)), peak_lr=1e-5)):
        outcome = BY_NAME["decay"](strategy)
        assert outcome.passed is False
        assert outcome.sentence == f"decays {power} times in one step, by (1 − ηλ)^{power}"


@pytest.mark.parametrize(
    "kind",
    [InHalves, Exponential, Proximal, WithoutRate, OfTheSquare, AsksAndDecaysTwice,
     CoupledNesterov, CoupledAdam],
)  # fmt: skip
def test_a_law_that_is_not_known_is_no_fault(kind: type[Optimizer]):
    outcome = BY_NAME["decay"](with_rule(Own(kind=kind)))
    assert outcome.passed is None
    assert outcome.mark({}) == UNJUDGED


def test_a_step_that_is_two_by_its_own_count_is_found():
    outcome = BY_NAME["once"](with_rule(Own(kind=DoubledAdam)))
    assert outcome.passed is False
    assert outcome.sentence == "one call of the optimiser is 2 steps by its own count"


@pytest.mark.parametrize("kind", [Once, CoupledAdam, AdamOfTwoGradients, KeepsALength])
def test_a_count_that_says_nothing_accuses_none(kind: type[Optimizer]):
    outcome = BY_NAME["once"](with_rule(Own(kind=kind)))
    assert outcome.passed is None
    assert outcome.mark({}) == UNJUDGED


@dataclass(frozen=True, kw_only=True)
class Newest(Averaging):
    def share(self, step: int, steps: int) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class AsItIs(GradientTransform):
    def apply(self, learning: Sequence[Learning], norm: Tensor, state: State, step: int) -> Applied:
        return Applied(norm=norm)


OWN_PARTS = [
    (with_rule(Own()), ("formula", "once", "symmetry")),
    (with_rule(Muon(others=Own())), ("formula", "once")),
    (replace(sgd(), averaging=Newest()), ("average",)),
    (replace(sgd(), gradient=(AsItIs(),)), ("gradient",)),
]


@pytest.mark.parametrize(
    ("strategy", "names"), OWN_PARTS, ids=["rule", "within", "average", "part"]
)
def test_what_is_not_ours_has_a_mark_of_its_own(strategy: Strategy, names: tuple[str, ...]):
    assert {BY_NAME[name](strategy).mark({None: "–"}) for name in names} == {UNJUDGED}


def test_what_the_claim_is_not_about_has_the_other_mark():
    for strategy, name in (
        (with_rule(Own()), "gradient"),
        (lbfgs(), "once"),
        (radam(), "symmetry"),
    ):
        assert BY_NAME[name](strategy).mark({None: "–"}) == "–"


OWN = """
from skipwise.strategies import Strategy
from tests.conformity.test_own_rules import Doubled, Once, Own

def rule(kind):
    return Strategy(name=kind.__name__, optimiser=Own(kind=kind), peak_lr=0.05, weight_decay=0.01)

def right():
    return rule(Once)

def wrong():
    return rule(Doubled)
"""


def test_the_table_says_what_could_not_be_judged(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    (tmp_path / "rules_of_mine.py").write_text(OWN)
    _, out, _ = call(capsys, "check", "rules_of_mine:right", "rules_of_mine:wrong")
    head, right, wrong, *rest = out.splitlines()
    assert dict(zip(head.split(), right.split()[1:], strict=False))["formula"] == UNJUDGED
    assert UNJUDGED in wrong
    assert f"{UNJUDGED}: {NOT_OURS}" in rest
    assert "Doubled, decay: decays 2 times in one step, by (1 − ηλ)^2" in rest
    _, out, _ = call(capsys, "check", "rules_of_mine:right", "--json")
    assert json.loads(out)["strategies"][0]["checks"]["formula"]["shown"] == UNJUDGED
    _, out, _ = call(capsys, "check", "sgd")
    assert f"{UNJUDGED}:" not in out
