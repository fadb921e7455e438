"""The check of L-BFGS: its direction, and the length that its line search takes."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import Optimizer

from skipwise.conformity import CHECKS
from skipwise.conformity.formulas.searching import direction, excess
from skipwise.strategies import LBFGS, lbfgs
from skipwise.strategies.optimisers import Groups
from skipwise.strategies.optimisers.lbfgs import InOneOrder

(FORMULA,) = (check for check in CHECKS if check.name == "formula")


@dataclass(frozen=True, kw_only=True)
class NewestPairAlone(LBFGS):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        return LBFGS(iterations=self.iterations, history=1).build(groups, rate=rate)


@dataclass(frozen=True, kw_only=True)
class OnePairTooMany(LBFGS):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        more = LBFGS(iterations=self.iterations, history=self.history + 1)
        return more.build(groups, rate=rate)


@dataclass(frozen=True, kw_only=True)
class WithoutSearch(LBFGS):
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        parameters = [p for group in groups for p in group["params"]]
        most, pairs = self.iterations, self.history
        made = torch.optim.LBFGS(parameters, lr=rate, max_iter=most, history_size=pairs)
        return InOneOrder(made)


def test_each_step_goes_along_the_direction_as_far_as_wolfe_would_have_it():
    outcome = FORMULA(lbfgs())
    assert outcome.passed, outcome.sentence


@pytest.mark.parametrize("bug", [NewestPairAlone, OnePairTooMany])
def test_pairs_that_are_lost_or_kept_too_long_are_found(bug: Any):
    outcome = FORMULA(replace(lbfgs(), optimiser=bug()))
    assert outcome.passed is False
    assert outcome.numbers["aside"] > 1e-3


def test_a_step_that_was_not_searched_for_is_found():
    outcome = FORMULA(replace(lbfgs(), optimiser=WithoutSearch()))
    assert outcome.passed is False
    assert outcome.numbers["aside"] < 1e-9
    assert outcome.numbers["spare"] < 0


def test_with_as_many_pairs_as_numbers_the_direction_is_newtons():
    noise = np.random.default_rng(0)
    root = noise.normal(size=(4, 4))
    curvature, gradient = root @ root.T + np.eye(4), noise.normal(size=4)
    conjugate = list(np.linalg.eigh(curvature)[1].T)  # so that no pair spoils those before it
    pairs = [(s, curvature @ s) for s in conjugate]
    newton = -np.linalg.solve(curvature, gradient)
    np.testing.assert_allclose(direction(gradient, pairs), newton, rtol=1e-12)
    np.testing.assert_array_equal(direction(gradient, []), -gradient)


def test_wolfe_asks_for_descent_and_for_a_flatter_slope():
    assert excess((1.0, 0.5), (-1.0, 0.5), 1.0) <= 0
    assert excess((1.0, 1.0), (-1.0, 0.5), 1.0) == pytest.approx(1e-4)  # no descent
    assert excess((1.0, 0.5), (-1.0, -0.95), 1.0) == pytest.approx(0.05)  # too steep still
