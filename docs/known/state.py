"""States, units, norms, updates and landscapes that are known in closed form."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from docs.known.oracle import Oracle, averaged, exact, known
from skipwise import analysis
from skipwise.analysis.landscape import walk_shares
from skipwise.analysis.spectra import mean_of
from skipwise.analysis.state import (
    directions_for,
    effective_rank,
    firing_bound,
    linear_cka,
    silenced_probability,
    stable_rank,
)
from tests.analysis.curvature.problems import drawn, half_squares, linear
from tests.analysis.landscape.test_landscape import BATCH, rescaled
from tests.analysis.state.test_moves import angles
from tests.analysis.state.test_states import ROTATION, Chain

SCALED = 7.0


def similarities() -> Iterable[Oracle]:
    """Give linear CKA of states that are the same up to a rotation, or independent."""
    states = drawn(20, 6)
    for debiased in (False, True):
        found = linear_cka(states, -3 * states @ ROTATION, debiased=debiased)
        yield exact(f"CKA(X, cXQ){', debiased' if debiased else ''}", found, 1)
    pairs = [(drawn(100, 100, seed=2 * n), drawn(100, 100, seed=2 * n + 1)) for n in range(12)]
    name = "CKA of independent states, n = p = 100"
    biased = [linear_cka(*pair, debiased=False) for pair in pairs]
    yield averaged(f"{name}, p/(n + p)", biased, 0.5, 0.5 / 100)
    yield averaged(f"{name}, debiased", [linear_cka(*pair) for pair in pairs], 0)


def ranks() -> Iterable[Oracle]:
    """Give ranks of known spectra, and what a linear probe reads off."""
    yield exact("effective rank of I₇", effective_rank(torch.ones(7)), 7)
    yield exact("effective rank of one direction", effective_rank(torch.tensor([3.0, 0, 0])), 1)
    yield exact("stable rank of I₇", stable_rank(torch.ones(7)), 7)
    yield exact("stable rank of σ = 2, 1, 1", stable_rank(torch.tensor([2.0, 1, 1])), 1.5)
    yield exact("directions for 99 % of I₁₀₀", directions_for(torch.ones(100)), 99, 0)
    inputs = drawn(80, 6)
    classes = (inputs[:, 0] > 0).long()
    inputs[:, 0] += 6 * (2 * classes - 1)
    probes = analysis.linear_probes(Chain(ROTATION, ROTATION.mT), (inputs, classes))
    yield exact("classes that a plane parts: accuracy of a probe", min(probes["accuracy"]), 1, 0)


def unit_counts() -> Iterable[Oracle]:
    """Give dead and dormant units, and what silence proves."""
    for width, digits in ((2, "0.9437"), (3, "0.7369"), (5, "0.2720"), (10, "0.0097")):
        found = silenced_probability(width, 10)
        yield known(f"some layer of 10 is off at the start, width {width}", found, digits)
    layer = linear(2, 8)
    model = nn.Sequential(layer, nn.ReLU())
    layer.weight.data[:, 0] = torch.tensor([1.0, 3.0]).repeat(4)
    batch = torch.ones(4, 2, dtype=torch.float64), None
    for threshold, share in ((0.5, 0.5), (0.499, 0.0), (1.5, 1.0)):
        dormant = analysis.units(model, batch, dormant=threshold)["dormant"][0]
        name = f"units of sizes 1 and 3, scores ½ and 1½ of mean 1: dormant at τ = {threshold:g}"
        yield exact(name, dormant, share, 0)
    layer.weight.data[:, 0] *= torch.tensor([1.0, -1.0]).repeat(4)
    dead = analysis.units(model, batch)["dead"][0]
    yield exact("every second unit negative: dead", dead, 0.5, 0)
    count = 10**6
    bound = count * firing_bound(count)
    yield exact(
        "no firing in N = 10⁶: N times the bound, −ln 0.05 < 3", bound, -math.log(0.05), 1e-5
    )


def norms() -> Iterable[Oracle]:
    """Give BatchNorm's running statistics after T times one batch."""
    inputs = 3 * drawn(16, 4) + 2
    for steps in (1, 7):
        norm = nn.BatchNorm1d(4, momentum=0.1, dtype=torch.float64)
        for _ in range(steps):
            norm(inputs)
        found = analysis.normalisation(norm, (inputs, None), lambda out, _: out.square().mean())
        left, name = 0.9**steps, f"BatchNorm after one batch {steps} times"
        shift = (left * inputs.mean(0) / inputs.std(0)).abs().median().item()
        yield exact(f"{name}: distance of μ_run from μ, in σ", found["shift"][0], shift)
        ratio = (1 - left + left / inputs.var(0)).median().item()
        yield exact(f"{name}: σ_run²/σ², over n − 1", found["variance ratio"][0], ratio)
        yield exact(f"{name}: 1 − (1 − m)^T", found["settled"][0], 1 - left)


def updates() -> Iterable[Oracle]:
    """Give rotations of weights, and the angle at which they settle."""
    start = torch.tensor([[2.0, 0.0]])
    for name, now, expected in (
        ("the same", 5 * start, 0),
        ("at right angles", torch.tensor([[0.0, 3.0]]), 1),
        ("opposite", -start, 2),
    ):
        turned = analysis.layer_rotation({"w": start}, {"w": now})["rotation"][0]
        yield exact(f"layer rotation, {name}", turned, expected)
    for rate, decay, momentum, digits in (
        (0.1, 0.05, 0.0, "0.10000"),
        (0.01, 0.1, 0.9, "0.03244"),
        (0.1, 5e-4, 0.9, "0.0073"),
    ):
        name = f"equilibrium angle, rate {rate:g}, decay {decay:g}, momentum {momentum:g}"
        formula = analysis.equilibrium_rotation(rate, decay, momentum)
        yield known(f"{name}: √(2ηw/(1 + b))", formula, digits)
        if rate * decay < 5e-4:
            continue  # too slow to run
        turns = angles(rate, decay, momentum)
        parts = [mean_of(turns[n : n + 50]).value for n in range(0, len(turns), 50)]
        slack = rate * decay * formula  # of O(ηw), which the formula leaves out
        yield averaged(f"{name}: run, by means of 50 steps", parts, float(digits), slack)


def landscapes() -> Iterable[Oracle]:
    """Give surfaces and barriers."""
    one, other = (
        analysis.plane(rescaled(f), BATCH, points=5, eigenvalues=False) for f in (1.0, SCALED)
    )
    apart = max(
        abs(a - b) for name in one.columns for a, b in zip(one[name], other[name], strict=True)
    )
    yield exact("layers rescaled by 7 and 1/7: change of the plane along filters", apart, 0)
    ends = [{"weight": 3 * drawn(1, 4, seed=seed)} for seed in (2, 3)]
    batch = drawn(20, 4), drawn(20, 1, seed=1)
    convex = analysis.barrier(linear(4), batch, half_squares, first=ends[0], second=ends[1])
    yield exact("barrier of a convex loss", convex.figures["barrier"], 0)
    well = torch.ones(1, 1, dtype=torch.float64)
    ridge = analysis.barrier(
        linear(1),
        (well, None),
        lambda output, _: ((output**2 - 1) ** 2).mean(),
        first={"weight": -well},
        second={"weight": well},
    )
    yield exact("barrier between the wells of (w² − 1)²", ridge.figures["barrier"], 1, 0)
    walk = walk_shares(4000)[0]
    yield exact("first component of a long random walk, 6/π²", walk, 6 / math.pi**2, 1e-3)


PARTS = (similarities, ranks, unit_counts, norms, updates, landscapes)
