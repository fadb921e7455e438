"""What is predicted of rules on a quadratic, against limits and cycles from elsewhere."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import Optimizer

from skipwise.conformity import CHECKS
from skipwise.conformity.checks.quadratic import bowl
from skipwise.conformity.problem import Walk, changed, with_one_rate, without_decay
from skipwise.conformity.theory import THEORIES, theory_of
from skipwise.strategies import (
    LAMB,
    LARS,
    SAM,
    SGD,
    SOAP,
    Adagrad,
    Adam,
    AdamW,
    Adan,
    Lion,
    Lookahead,
    NAdam,
    Optimiser,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    Strategy,
    named_strategies,
)
from skipwise.strategies.optimisers import Groups
from skipwise.strategies.optimisers.wrapping import Closure, Wrapping

NAMED = {name: make() for name, make in named_strategies().items()}
RULES = {type(made.optimiser): made for made in NAMED.values()}
(QUADRATIC,) = (check for check in CHECKS if check.name == "quadratic")


class TwiceTheRate(Wrapping):
    """Applies the rate twice."""

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        for group in self.param_groups:
            group["lr"] *= 2
        return self.base.step(closure)  # pyright: ignore[reportCallIssue, reportArgumentType]


def twice(strategy: Strategy) -> Strategy:
    kind: Any = type(strategy.optimiser)

    def build(self: Any, groups: Groups, *, rate: float) -> Optimizer:
        return TwiceTheRate(kind.build(self, groups, rate=rate))

    bug = type(kind.__name__, (kind,), {"build": build})
    return replace(strategy, optimiser=bug(**vars(strategy.optimiser)))


@pytest.mark.parametrize("kind", [*THEORIES, LAMB, Lion], ids=lambda kind: kind.__name__)
def test_a_rate_applied_twice_breaks_the_prediction(kind: type[Optimiser]):
    assert QUADRATIC(RULES[kind]).passed
    outcome = QUADRATIC(twice(RULES[kind]))
    assert outcome.passed is False
    assert "stops with" not in outcome.sentence


LONG: Mapping[str, Optimiser] = {
    "momentum": SGD(momentum=0.99),
    "lars": LARS(momentum=0.99),
    "sam": SAM(base=SGD(momentum=0.99)),
    "lookahead": Lookahead(base=SGD(momentum=0.99)),
    "rmsprop": RMSprop(momentum=0.99),
    "adam": Adam(beta1=0.99),
    "soap": SOAP(beta1=0.99),
    "adan": Adan(beta1=0.99, beta2=0.99),
    "schedulefree-sgd": ScheduleFreeSGD(beta=0.95),
    "schedulefree-adamw": ScheduleFreeAdamW(beta1=0.95),
}


@pytest.mark.parametrize("name", LONG)
def test_a_memory_longer_than_the_walk_is_no_fault_and_hides_none(name: str):
    strategy = replace(NAMED[name], optimiser=LONG[name])
    healthy, faulty = QUADRATIC(strategy), QUADRATIC(twice(strategy))
    assert healthy.passed, healthy.sentence
    assert healthy.sentence.startswith("with shorter memories: ")
    assert faulty.passed is False
    assert "stops with" not in faulty.sentence


@pytest.mark.parametrize("share", [0.9, 1.11])
@pytest.mark.parametrize("kind", [SGD, Adan, ScheduleFreeSGD], ids=lambda kind: kind.__name__)
def test_no_limit_but_that_of_the_theory_passes(
    kind: type[Optimiser], share: float, monkeypatch: pytest.MonkeyPatch
):
    true = THEORIES[kind]

    def wrong(rule: Any) -> Any:
        theory = true(rule)
        assert theory is not None
        return replace(theory, limit=share * theory.limit)

    monkeypatch.setitem(THEORIES, kind, wrong)  # pyright: ignore[reportArgumentType]
    assert QUADRATIC(RULES[kind]).passed is False


LIMITS: Mapping[Optimiser, float] = {
    SGD(): 2.0,
    SGD(momentum=0.9): 3.8,
    SGD(momentum=0.9, nesterov=True): 3.8 / 2.8,
    LARS(momentum=0.9): 3.8,
    Adam(beta1=0.9): 38.0,
    AdamW(beta1=0.9): 38.0,
    RAdam(beta1=0.9): 38.0,
    SOAP(beta1=0.9): 38.0,
    ScheduleFreeSGD(beta=0.9): 20.0,
    SAM(base=SGD()): 2.0,
    Lookahead(base=SGD(), steps=1, share=0.5): 4.0,  # descent at half of the rate
    Lookahead(base=SGD(momentum=0.9), share=1.0): 3.8,  # its base
    Lookahead(base=SGD(), steps=5, share=0.5): 1 + 3 ** (1 / 5),  # 1/2 + (1 − x)⁵/2 is −1
    NAdam(beta1=0.9, momentum_decay=0.0): 2 / (1 - 0.81 / 1.9),
    Adan(beta1=0.0, beta2=0.0): 2.0,
    RMSprop(momentum=0.5): 3.0,
    Adagrad(): 2.0,
}


@pytest.mark.parametrize("rule", LIMITS, ids=repr)
def test_the_limits_are_those_that_are_known(rule: Optimiser):
    found = theory_of(rule)
    assert found is not None
    assert found.limit == pytest.approx(LIMITS[rule], rel=2e-3)


def test_sam_ends_in_the_cycle_of_bartlett_long_and_bousquet():
    strategy = with_one_rate(without_decay(NAMED["sam"]))
    strategy = changed(strategy, optimiser=SAM(base=SGD(), radius=0.05))
    walk = Walk(strategy, bowl(0.5 / strategy.peak_lr, 1.0))
    for _ in range(200):
        walk.step(strategy.peak_lr)
    weights = np.concatenate([w.ravel() for w in walk.weights().values()])
    assert np.linalg.norm(weights) == pytest.approx(0.05 * 0.5 / (2 - 0.5), rel=1e-9)


WORDS = {
    "adafactor": "converges",
    "muon": "converges",
    "muon-triangle": "converges",
    "prodigy": "converges",
    "lamb": "rate",
    "lion": "rate",
    "lbfgs": "rate",
    "momentum": "yes",
}


@pytest.mark.parametrize("name", WORDS)
def test_a_table_says_where_less_than_a_limit_was_shown(name: str):
    assert QUADRATIC(NAMED[name]).mark({True: "yes"}) == WORDS[name]


def test_all_rules_but_these_have_a_theory():
    without = {name for name, made in NAMED.items() if theory_of(made.optimiser) is None}
    assert without == {name for name, word in WORDS.items() if word != "yes"}
