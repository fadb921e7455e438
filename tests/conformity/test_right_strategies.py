"""Right strategies that a check once called wrong pass it, and bugs in them are still found."""

from dataclasses import dataclass, replace

import pytest
from torch.optim import Optimizer

from skipwise.conformity import CHECKS
from skipwise.conformity.rehearsal import equal
from skipwise.data import Batch
from skipwise.strategies import (
    EMA,
    Freezing,
    Guard,
    Lookahead,
    Muon,
    Prodigy,
    Strategy,
    adamw,
    lookahead,
    momentum,
    muon,
    sgd,
    soap,
)
from skipwise.strategies.optimisers import Groups
from skipwise.training.policies.guard import History
from tests.conformity.planted import ShareInverted, SwallowedNaN

BY_NAME = {check.name: check for check in CHECKS}
NORMS_SLOWER = replace(sgd(), rates={"norm": 0.1})
NORMS_DECAY = replace(momentum(), weight_decay=5e-4, decay_factors={"norm": 1.0})
SHARED_OUT = replace(muon(), optimiser=Muon(others=Prodigy(), share=1.0))
SLOWED = replace(lookahead(), optimiser=Lookahead(base=Prodigy()))
STOPPED = Freezing(first=0.2, last=0.2)

RIGHT: dict[str, tuple[Strategy, tuple[str, ...]]] = {
    "a guard": (replace(sgd(), guard=Guard()), ("resume",)),
    "slower norms": (NORMS_SLOWER, ("parts",)),
    "decaying norms": (NORMS_DECAY, ("parts",)),
    "Prodigy beside Muon": (SHARED_OUT, ("formula", "alive", "decay", "once")),
    "Prodigy within Lookahead": (SLOWED, ("alive",)),
    "a rate next to nothing": (replace(adamw(), peak_lr=1e-9), ("decay",)),
    "a trunk that has stopped": (replace(sgd(), freezing=STOPPED), ("NaN",)),
    "a first step that moves nothing": (replace(soap(), averaging=EMA()), ("average",)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_strategy_is_not_called_wrong(name: str):
    strategy, checks = RIGHT[name]
    for check in checks:
        outcome = BY_NAME[check](strategy)
        assert outcome.passed, f"{check}: {outcome.sentence}"


def test_nan_is_the_same_as_nan_alone():
    state = {"loss": float("nan"), "norms": [1.0], "first": ""}
    assert equal(state, {**state, "loss": float("nan")})
    assert not equal(state, {**state, "loss": 1.0})
    assert not equal({**state, "loss": 1.0}, state)


def test_a_guard_that_forgets_its_history_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(History, "restore", lambda *_: None)
    outcome = BY_NAME["resume"](replace(sgd(), guard=Guard()))
    assert outcome.passed is False
    assert outcome.sentence == "after the resume guard differs from that of the whole run"


@pytest.mark.parametrize("strategy", [NORMS_SLOWER, NORMS_DECAY], ids=["rates", "decays"])
def test_parts_that_lose_examples_are_found_beside_norms(
    strategy: Strategy, monkeypatch: pytest.MonkeyPatch
):
    whole = Batch.parts
    monkeypatch.setattr(Batch, "parts", lambda batch, n: whole(batch, n)[: max(n - 1, 1)])
    assert BY_NAME["parts"](strategy).passed is False


@dataclass(frozen=True, kw_only=True)
class DecaysTwiceAsFast(Prodigy):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        own = [{**group, "weight_decay": 2 * group["weight_decay"]} for group in groups]
        return super().build(own, rate=rate)


def test_a_wrong_decay_of_prodigy_beside_muon_is_found():
    bug = replace(
        SHARED_OUT, optimiser=Muon(others=DecaysTwiceAsFast(), share=1.0), weight_decay=0.1
    )
    for name in ("formula", "decay", "once"):
        outcome = BY_NAME[name](bug)
        assert outcome.passed is False
        assert "stops with" not in outcome.sentence


@dataclass(frozen=True, kw_only=True)
class Unread(Prodigy):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return replace(Prodigy(), start=self.start).build(groups, rate=rate)


def test_a_coefficient_that_is_not_read_is_found_where_the_rate_is_low():
    outcome = BY_NAME["alive"](replace(lookahead(), optimiser=Lookahead(base=Unread())))
    assert outcome.passed is False
    assert "optimiser.base.coefficient, optimiser.base.safeguarded" in outcome.sentence


@pytest.mark.parametrize("freezing", [None, STOPPED], ids=["all", "head"])
def test_a_nan_that_is_swallowed_is_found_where_the_trunk_has_stopped(freezing: Freezing | None):
    outcome = BY_NAME["NaN"](replace(sgd(), optimiser=SwallowedNaN(), freezing=freezing))
    assert outcome.passed is False
    assert "nobody is told" in outcome.sentence


def test_a_wrong_average_is_found_where_the_first_step_moves_nothing():
    assert BY_NAME["average"](replace(soap(), averaging=ShareInverted(decay=0.9))).passed is False
