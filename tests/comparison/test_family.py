"""Holm by hand, and what is said before training."""

import numpy as np
import pytest

from skipwise.comparison import holm, least_seeds, warning
from tests.comparison.planted import design


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        (
            [0.01, 0.04, 0.03, 0.005],
            [0.03, 0.06, 0.06, 0.02],
        ),  # 4·.005, 3·.01, 2·.03, max(.06, .04)
        ([0.001, 0.02, 0.9], [0.003, 0.04, 0.9]),
        ([0.4, 0.5, 0.6], [1.0, 1.0, 1.0]),
        ([0.03, 0.03], [0.06, 0.06]),
        ([0.05], [0.05]),
    ],
)
def test_holm_by_hand(p: list[float], adjusted: list[float]):
    assert holm(np.array(p)) == pytest.approx(adjusted)


def test_holm_rejects_what_stepping_down_rejects():
    random = np.random.default_rng(3)
    many = random.uniform(0, 0.08, (200, 5))
    for p, adjusted in zip(many, holm(many), strict=True):
        rejected = set()
        for step, where in enumerate(p.argsort()):
            if p[where] > 0.05 / (5 - step):
                break
            rejected.add(where)
        assert rejected == set(np.flatnonzero(adjusted <= 0.05))


def test_seeds_that_a_family_needs_at_least():
    assert [least_seeds(m) for m in (1, 2, 3, 6, 12)] == [6, 7, 7, 8, 9]


def test_a_study_that_cannot_answer_is_told_before_it_trains():
    family = [(f"resnet20/{name}", "resnet20/sgd") for name in ("momentum", "adam", "adamw")]
    few = design(["sgd", "momentum", "adam", "adamw"], family=tuple(family), seeds=range(6))
    assert warning(few) == (
        "With 6 seeds no verdict is possible: the least p-value of the exact test is 2/2^6 = 0.031,"
        " and 3 comparisons together need 0.017. 7 seeds could reach one."
    )
    assert warning(design(["sgd", "momentum"], family=(family[0],), seeds=range(6))) == ""
    assert "one comparison needs 0.05. 6 seeds could" in warning(
        design(["sgd", "momentum"], family=(family[0],), seeds=range(1))
    )
    assert "no comparison" in warning(design(["sgd"]))
