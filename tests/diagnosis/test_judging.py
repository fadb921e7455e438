"""What rules are handed: of the optimiser, the history, the batch and the blocks."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from skipwise.analysis import Measurement, Rule, short
from skipwise.analysis.sites import as_sites
from skipwise.diagnosis import History, Level, examine
from skipwise.diagnosis.findings import Findings
from skipwise.diagnosis.judging import judged
from skipwise.diagnosis.plan import PLAN
from skipwise.diagnosis.subject import Subject, subject_of
from tests.diagnosis.rules.training.made import moved, rehearsed
from tests.diagnosis.test_examine import pictures, small


def subject(model: nn.Module, **others) -> Subject:
    rest = ("updated_on", "validation", "sites", "loss", "optimiser", "history", "start")
    return subject_of(model, pictures(), **{**dict.fromkeys(rest), "seconds": 60.0, **others})


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.Adam(p),
        lambda p: torch.optim.RMSprop(p),
        lambda p: torch.optim.Adamax(p),
    ],
)
def test_the_spectrum_is_measured_though_the_limit_of_the_optimiser_is_not_known(make):
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    given = subject(model, optimiser=make(model.parameters()))
    found = {entry.name: entry for entry in PLAN}["hessian spectrum"].measure(given)
    assert isinstance(found, Measurement)
    assert "seen / limit" not in found.figures


def test_refused_steps_accuse_only_where_they_were_not_finite_and_the_last():
    def level(norms: float, after: int) -> Level:
        steps = tuple(range(1, 7 + after))
        history = History(
            steps=steps,
            losses=(1.0,) * len(steps),
            gradient_norms=(1.0, *[norms] * 5, *[1.0] * after),
            skipped=(2, 3, 4, 5, 6),
        )
        return examine(small(), pictures(), history=history, seconds=1e-9).verdicts[0].level

    assert [level(1e9, 0), level(math.inf, 0)] == [Level.PASS, Level.FAIL]
    assert level(math.inf, 3) is Level.WARN


def test_a_loss_that_was_refused_last_is_not_that_of_the_model():
    history = History(steps=(1, 2), losses=(2.0, math.nan), skipped=(2,))
    found = examine(small(), pictures(), history=history, seconds=1e-9)
    assert found.verdicts[0].level is Level.INFO


def test_a_full_batch_is_held_against_its_own_curvature():
    pair = pictures(1)[0]
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    found = {
        full: examine(
            model, pair, optimiser=Rule(rate=0.1), full_batch=full, deep=True, seconds=math.inf
        ).verdicts[4]
        for full in (False, True)
    }
    keys = {False: "batch sharpness / limit", True: "curvature / limit"}
    for full, verdict in found.items():
        assert f"{short(verdict.numbers[keys[full]])} of what" in verdict.says


def test_weights_before_a_norm_are_not_accused_where_there_was_no_time_to_find_them():
    model = small()
    rule = torch.optim.SGD(model.parameters(), lr=0.1)
    given, found = subject(model, optimiser=rule), Findings()
    found.rehearsal = rehearsed(moved(0.5))
    assert judged(given, found)[3].level is Level.PASS
    found.take("invariant weights", ())
    assert judged(given, found)[3].level is Level.WARN


def test_norms_of_every_kind_are_seen_in_the_blocks():
    normed = {}
    for norm in (nn.LayerNorm, nn.RMSNorm, nn.Identity):
        model = Normed(norm)
        normed[norm] = subject(model, sites=as_sites(model, "row.*")).normed
    assert list(normed.values()) == [True, True, False]


class Normed(nn.Module):
    def __init__(self, norm: Callable[..., nn.Module]):
        super().__init__()
        rows = (nn.Sequential(norm(4), nn.Linear(4, 4)) for _ in range(2))
        self.row = nn.Sequential(*rows)

    def forward(self, x: Tensor) -> Tensor:
        return self.row(x)
