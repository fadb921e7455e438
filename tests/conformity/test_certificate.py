"""The certificate and its command: all strategies, words, JSON, exit codes."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from docs.strategies import FILE
from skipwise.conformity import CHECKS, FORMULAS, LESS, certify, versions
from skipwise.conformity.changing import paths
from skipwise.conformity.problem import difference
from skipwise.conformity.rehearsal import rehearsal
from skipwise.strategies import (
    EMA,
    LAWA,
    LBFGS,
    SAM,
    SOAP,
    SWA,
    AdaptiveClipping,
    AutoClip,
    Averaging,
    Centralisation,
    ClipNorm,
    GradientNoise,
    GradientTransform,
    Lookahead,
    Muon,
    NAdam,
    Optimiser,
    Prodigy,
    Strategy,
    ZClip,
    adam,
    adamw,
    lars,
    momentum,
    muon,
    named_strategies,
    sgd,
)
from tests.cli.commands import call, fails
from tests.conformity.planted import DecayIgnored, swapped

OWN = """
from dataclasses import dataclass, replace
from skipwise.strategies import SGD, momentum

@dataclass(frozen=True, kw_only=True)
class Ignored(SGD):
    def build(self, groups, *, rate):
        return super().build([{**group, "weight_decay": 0.0} for group in groups], rate=rate)

def ignored():
    return Ignored(momentum=0.9)

def number():
    return 3
"""


@pytest.mark.parametrize("name", named_strategies())
def test_every_named_strategy_passes_every_check(name: str):
    (found,) = certify([named_strategies()[name]()])
    assert not found.failures
    assert found.tried


def test_every_rule_but_the_line_search_which_has_a_check_of_its_own_has_a_formula():
    rules: set[type[Optimiser]] = {type(make().optimiser) for make in named_strategies().values()}
    assert rules - set(FORMULAS) == {LBFGS}


@pytest.mark.parametrize(
    "healthy",
    [
        replace(momentum(), weight_decay=5e-4, decay_factors={"norm": 1.0}),
        replace(adamw(), decay_factors={"norm": 1.0, "branch": 0.0}),
        replace(adam(), rates={"branch": 2.0}),
        replace(sgd(), rates={"bias": 2.0}),
        replace(lars(), layer_decay=0.5),
        replace(muon(), rates={"branch": 2.0}),
    ],
    ids=["norms", "but-branches", "rates", "biases", "layers", "muon"],
)
def test_rates_and_decays_of_roles_are_no_faults(healthy: Strategy):
    for check in CHECKS:
        if check.name in ("decay", "rate 0", "quadratic", "symmetry"):
            outcome = check(healthy)
            assert outcome.passed, f"{check.name}: {outcome.sentence}"


@pytest.mark.parametrize(
    ("rule", "tried"),
    [
        (SAM(base=NAdam()), ("formula", "order")),
        (Muon(others=NAdam()), ("formula", "order")),
        (Lookahead(base=SOAP(every=3)), ("formula", "order")),
        (Lookahead(base=Prodigy()), ("formula", "decay", "order")),
    ],
    ids=["sam", "muon", "soap", "prodigy"],
)
def test_what_a_rule_within_another_keeps_in_float32_is_no_fault(rule: Optimiser, tried):
    for check in CHECKS:
        if check.name in tried:
            outcome = check(replace(adam(), optimiser=rule))
            assert outcome.passed, f"{check.name}: {outcome.sentence}"


def test_what_does_not_decay_as_its_own_setting_says_is_a_fault():
    bug = replace(swapped(momentum, DecayIgnored)(), decay_factors={"norm": 1.0})
    (decay,) = (check for check in CHECKS if check.name == "decay")
    assert decay(bug).sentence == "branch.weight does not decay"
    none = replace(momentum(), decay_factors={"stem": 0.0, "branch": 0.0, "head": 0.0})
    assert decay(none).passed is None


def test_a_healthy_strategy_leaves_exit_code_zero(capsys: pytest.CaptureFixture[str]):
    code, out, _ = call(capsys, "check", "sgd")
    assert code == 0
    assert "1 of 1 strategies pass" in out
    assert versions()["torch"] in out


def test_where_less_was_shown_is_said_and_explained(capsys: pytest.CaptureFixture[str]):
    _, out, _ = call(capsys, "check", "lion")
    assert "  rate  " in out.splitlines()[1]
    assert "rate: it goes at the rate that is predicted; no limit of stability is known" in out
    assert "converges" not in out


def test_a_bug_of_the_users_own_is_one_line_and_exit_code_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    (tmp_path / "own_rules.py").write_text(OWN)
    code, out, _ = call(capsys, "check", "own_rules:ignored", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["failed"] == ["ignored"]
    checks = found["strategies"][0]["checks"]
    assert checks["decay"]["sentence"] == "branch.weight does not decay"
    assert set(checks) == {check.name for check in CHECKS}
    assert "must return a Strategy" in fails(capsys, "check", "own_rules:number")


def test_what_cannot_be_checked_is_said(capsys: pytest.CaptureFixture[str]):
    assert "say what to check" in fails(capsys, "check")
    assert "did you mean 'adam'" in fails(capsys, "check", "adamm")


def test_a_rule_whose_package_is_missing_is_not_checked_and_no_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    code, out, _ = call(capsys, "check", "lion")
    assert code == 2
    assert "lion was not checked: lion is a rule of pytorch-optimizer" in out
    assert 'pip install -e ".[optimizers]"' in out
    assert "0 of 1 strategies pass" in out


def test_every_field_of_every_part_is_tried():
    parts = (AutoClip(remembered=3), ClipNorm(limit=0.1), GradientNoise())
    found = dict(paths(replace(sgd(), gradient=parts)))
    assert {"gradient.0.remembered", "gradient.1.limit", "gradient.2.variance"} <= found.keys()
    assert found["gradient.1.limit"][:2] == pytest.approx([0.11, 0.09])


def test_every_field_of_every_transform_is_alive():
    alive = next(check for check in CHECKS if check.name == "alive")
    parts = (Centralisation(), AdaptiveClipping(), ZClip(), ClipNorm(limit=0.1), GradientNoise())
    for some in (parts, (AutoClip(),)):
        outcome = alive(replace(sgd(), gradient=some))
        assert outcome.passed, outcome.sentence


def test_the_choice_of_the_loss_is_alive_and_the_exact_loss_follows_it():
    binary = replace(sgd(), loss="binary", label_smoothing=0.1)
    assert "loss" in dict(paths(binary))
    for name in ("alive", "once"):
        outcome = next(check for check in CHECKS if check.name == name)(binary)
        assert outcome.passed, outcome.sentence
    exact, own = (rehearsal(binary, exact_loss=exact) for exact in (True, False))
    output = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    losses = [float(run.loss(output, run.batches.at(0))[0]) for run in (exact, own)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


CLIPS = (AutoClip(percentile=50.0, remembered=5), ClipNorm(limit=0.1), GradientNoise())


@pytest.mark.parametrize(
    "parts",
    [(Centralisation(), AdaptiveClipping(ratio=0.1), ZClip(settling=5)), CLIPS, (ZClip(),)],
    ids=["units", "whole", "settling"],
)
def test_every_transform_equals_its_formula(parts: tuple[GradientTransform, ...]):
    gradient = next(check for check in CHECKS if check.name == "gradient")
    outcome = gradient(replace(sgd(), gradient=parts))
    assert outcome.passed, outcome.sentence


@pytest.mark.parametrize(
    "averaging",
    [EMA(decay=0.5), SWA(last=0.9, every=3), SWA(every=9), LAWA(latest=3, distance=0.15)],
    ids=repr,
)
def test_every_average_equals_its_formula(averaging: Averaging):
    average = next(check for check in CHECKS if check.name == "average")
    outcome = average(replace(momentum(), averaging=averaging))
    assert outcome.passed, outcome.sentence


def test_the_kernels_of_a_rule_within_another_are_tried():
    kernels = next(check for check in CHECKS if check.name == "kernels")
    outcome = kernels(muon())
    assert outcome.passed, outcome.sentence
    assert {"fused", "foreach"} <= outcome.numbers.keys()


def test_a_weight_that_is_no_number_differs_from_every_number():
    start = {name: np.zeros(2) for name in "ab"}
    assert math.isnan(difference({**start, "b": np.array([0.0, np.nan])}, start, start))


def test_a_strategy_with_a_history_of_norms_resumes(capsys: pytest.CaptureFixture[str]):
    resume = next(check for check in CHECKS if check.name == "resume")
    outcome = resume(replace(sgd(), gradient=(AutoClip(),)))  # NaN stands where no norm is yet
    assert outcome.passed, outcome.sentence


def test_the_document_has_every_strategy_and_check():
    text = FILE.read_text()
    assert all(f"| `{make().name}` |" in text for make in named_strategies().values())
    assert all(f"* **{check.name}**: {check.claim}.\n" in text for check in CHECKS)
    assert all(f" {word}: {meaning}." in text for word, meaning in LESS.items())
