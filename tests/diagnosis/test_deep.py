"""The deep plan measures what the quick one leaves out, with the numbers of a direct call."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from skipwise import analysis
from skipwise.analysis import Measurement, find_sites
from skipwise.diagnosis import Diagnosis, examine
from tests.diagnosis.test_examine import pictures, small

BATCHES = pictures(2, size=8, side=4)
# Statistics of BatchNorm have seen nothing, so what could use them is measured in training mode.
DIRECT: dict[str, Callable[..., Measurement]] = {
    "linear probes": lambda m, s: analysis.linear_probes(m, BATCHES, sites=s, training=True),
    "hessian spectrum": lambda m, s: analysis.hessian_spectrum(m, BATCHES[0], count=3, probes=4),
    "state similarity": lambda m, s: analysis.state_similarity(m, BATCHES, sites=s, training=True),
    "path spectrum": lambda m, s: analysis.path_spectrum(m, BATCHES[0], sites=s),
    "hessian density": lambda m, s: analysis.hessian_density(m, BATCHES[0], steps=30, probes=2),
    "jacobian": lambda m, s: analysis.jacobian(m, BATCHES[0], sites=s, probes=2, steps=10),
    "jacobian density": lambda m, s: analysis.jacobian_density(
        m, BATCHES[0], sites=s, probes=2, steps=20
    ),
    "loss along a line": lambda m, s: analysis.line(m, BATCHES[0], points=11, eigenvalues=False),
    "weight ranks": lambda m, s: analysis.weight_ranks(m),
}


def examined(model: nn.Module, **options: Any) -> Diagnosis:
    return examine(model, BATCHES, seconds=math.inf, **options)


@pytest.fixture(scope="module")
def deep() -> Diagnosis:
    return examined(small(2), deep=True)


def test_the_deep_plan_adds_what_the_quick_one_leaves_out(deep: Diagnosis):
    quick = examined(small(2))
    assert set(deep.measurements) - set(quick.measurements) == set(DIRECT)
    assert set(quick.measurements) <= set(deep.measurements)
    assert deep.failed == quick.failed
    assert (deep.facts["deep"], quick.facts["deep"]) == (True, False)


@pytest.mark.parametrize("name", DIRECT)
def test_what_it_adds_is_finite_and_that_of_a_direct_call(deep: Diagnosis, name: str):
    found, model = deep.measurements[name], small(2)
    for column in found.columns.values():
        assert all(map(math.isfinite, column))
    assert all(map(math.isfinite, found.figures.values()))
    assert found.as_plain() == DIRECT[name](model, find_sites(model)).as_plain()
