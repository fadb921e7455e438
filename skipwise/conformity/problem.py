"""A small float64 problem whose gradients are given, and the strategy's own optimiser on it.

The gradient of step t at weights w is ``push_t + curvature · w``, number by number, so it is known
without backpropagation, differs from step to step, and answers a rule that asks twice. The module
has one parameter of every kind that a strategy treats apart.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from skipwise.connections import Connection
from skipwise.strategies import Strategy

Array = NDArray[np.float64]
Arrays = Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a parameter is, written down by hand: nothing here asks the strategy.

    Args:
        role: The part it plays.
        decays: Whether weight decay is due.
        distance: Blocks between it and the head.
    """

    role: str
    decays: bool
    distance: int


PARTS = {
    "stem.weight": Part(role="stem", decays=True, distance=2),
    "norm.weight": Part(role="norm", decays=False, distance=2),
    "norm.bias": Part(role="norm", decays=False, distance=2),
    "branch.weight": Part(role="branch", decays=True, distance=1),
    "branch.bias": Part(role="bias", decays=False, distance=1),
    "connection.mixing": Part(role="scale", decays=False, distance=1),
    "connection.scale": Part(role="scale", decays=False, distance=1),
    "head.weight": Part(role="head", decays=True, distance=0),
    "head.bias": Part(role="bias", decays=False, distance=0),
}
AT_ZERO = ("head.weight", "norm.bias")


@final
class Mixing(Connection):
    """What a connection holds itself: a matrix and a number."""

    def __init__(self):
        super().__init__()
        self.mixing = nn.Parameter(torch.zeros(2, 2))
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, stream: Tensor, branch: nn.Module) -> Tensor:
        """Give the stream as it is; nothing is computed here."""
        return stream


@final
class Small(nn.Module):
    """Parameters of every kind; there is nothing to compute."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.branch = nn.Conv2d(4, 4, 3)
        self.connection = Mixing()
        self.head = nn.Linear(4, 3)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Where the weights start, and the gradient of every step.

    Args:
        start: By name.
        pushes: What does not depend on the weights, for each step.
        curvature: What is multiplied with the weights.
    """

    start: Arrays
    pushes: tuple[Arrays, ...]
    curvature: Arrays

    @property
    def steps(self) -> int:
        """How many steps have a gradient."""
        return len(self.pushes)

    def gradient(self, step: int, weights: Arrays) -> dict[str, Array]:
        """Give the gradient of a step, counted from 0."""
        push = self.pushes[step]
        return {name: push[name] + self.curvature[name] * w for name, w in weights.items()}

    def loss(self, step: int, weights: Arrays) -> float:
        """Give what that is the gradient of: Σ push·w + ½ curvature·w²."""
        push = self.pushes[step]
        return sum(
            float((push[n] * w + 0.5 * self.curvature[n] * w**2).sum()) for n, w in weights.items()
        )


def drawn(
    steps: int = 10,
    *,
    curved: bool = True,
    scale: float = 1.0,
    at_zero: Collection[str] = AT_ZERO,
) -> Problem:
    """Draw a problem; gradients are of the order of ``scale``, and none is nearly zero.

    A matrix and a vector start at zero, as heads and biases do in some networks.
    """
    noise = np.random.default_rng(0)

    def normal() -> dict[str, Array]:
        values = {n: noise.normal(size=tuple(p.shape)) for n, p in Small().named_parameters()}
        return {n: np.sign(v) * (0.1 + np.abs(v)) for n, v in values.items()}

    start = normal()
    start |= {name: np.zeros_like(start[name]) for name in at_zero}
    curvature = {n: 0.1 * scale * np.abs(v) * curved for n, v in normal().items()}
    pushes = [{n: scale * v for n, v in normal().items()} for _ in range(steps)]
    return Problem(start=start, pushes=tuple(pushes), curvature=curvature)


def without_gradient(steps: int = 10, *, but: Collection[str] = ()) -> Problem:
    """Give a problem whose gradients are zero, of all parameters but those named.

    No weight starts at zero, where nothing decays.
    """
    base = drawn(steps, at_zero=())
    nothing = {name: np.zeros_like(w) for name, w in base.start.items()}
    pushes = tuple({**nothing, **{name: push[name] for name in but}} for push in base.pushes)
    return Problem(start=base.start, pushes=pushes, curvature=nothing)


@final
class Walk:
    """A strategy's own optimiser on a problem, step by step.

    Args:
        strategy: What is checked.
        problem: Where it walks.
        absent: Names of parameters that get no gradient.
        change: Is given the optimiser before the first step.
    """

    def __init__(
        self,
        strategy: Strategy,
        problem: Problem,
        *,
        absent: Collection[str] = (),
        change: Callable[[Optimizer], None] | None = None,
    ):
        self.strategy, self.problem, self.absent = strategy, problem, absent
        self.module = Small().double()
        self.named = dict(self.module.named_parameters())
        self.place(problem.start)
        self.optimiser = strategy.build(self.module, distances_of(strategy))
        self.taken = self.asked = 0
        if change is not None:
            change(self.optimiser)

    def step(self, rate: float | None = None) -> None:
        """Take one step as the training loop does, at the strategy's own rate if none is given."""
        if rate is None:
            rate = self.strategy.rate(self.taken, self.problem.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)
        self.optimiser.step(cast(Any, self._closure))
        self.taken += 1

    @torch.no_grad()
    def place(self, weights: Arrays) -> None:
        """Put the weights somewhere else."""
        for name, parameter in self.named.items():
            parameter.copy_(torch.from_numpy(weights[name]))

    def weights(self) -> dict[str, Array]:
        """Give the weights as they are now."""
        return {name: p.detach().numpy().copy() for name, p in self.named.items()}

    def evaluated(self) -> dict[str, Array]:
        """Give the weights that are evaluated as they are now."""
        others = self.strategy.optimiser.evaluated(self.optimiser)
        return {n: others.get(p, p).detach().numpy().copy() for n, p in self.named.items()}

    def _closure(self) -> Tensor:
        self.asked += 1
        weights = self.weights()
        found = self.problem.gradient(self.taken, weights)
        for name, parameter in self.named.items():
            absent = name in self.absent
            parameter.grad = None if absent else torch.from_numpy(found[name].copy())
        return torch.tensor(self.problem.loss(self.taken, weights), dtype=torch.float64)


def distances_of(strategy: Strategy) -> dict[str, int] | None:
    """Give the distances from the head, if the strategy's rates follow them."""
    if strategy.layer_decay == 1.0:
        return None
    return {name: part.distance for name, part in PARTS.items()}


def walked(strategy: Strategy, problem: Problem, **options: Any) -> list[dict[str, Array]]:
    """Give the weights after each step of a whole walk."""
    walk, found = Walk(strategy, problem, **options), []
    for _ in range(problem.steps):
        walk.step()
        found.append(walk.weights())
    return found


def difference(found: Arrays, wanted: Arrays, start: Arrays) -> float:
    """Give the largest difference of two sets of weights, in units of the larger way from start.

    Not a number where one of them is none; 0 where neither moved.
    """
    apart = float(np.max([np.abs(found[n] - wanted[n]).max() for n in wanted]))
    moved = max(float(np.abs(w[n] - start[n]).max()) for w in (found, wanted) for n in wanted)
    return apart if moved == 0 else apart / moved


def changed(strategy: Strategy, **fields: Any) -> Strategy:
    """Give the strategy with other values, checked as its own are."""
    return dataclasses.replace(strategy, **fields)


def without_decay(strategy: Strategy) -> Strategy:
    """Give the strategy in which nothing decays."""
    return changed(strategy, weight_decay=0.0, decay_factors={})


def with_one_rate(strategy: Strategy) -> Strategy:
    """Give the strategy in which all parameters learn at the same rate."""
    return changed(strategy, layer_decay=1.0, scalar_rate=1.0, rates={})
