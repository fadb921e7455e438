"""Stochastic depth: y = A·x + (m/p)·F(x), where an example's branch survives with probability p.

It wraps any other connection by thinning its branch, so it goes with gates and with many streams
too. The deeper the block, the likelier it is dropped: p_l = 1 − (l/L)(1 − p_L) for l = 1 … L.
"""

from dataclasses import dataclass, field
from typing import final

from torch import Tensor, nn

from skipwise.connections.additive import Additive
from skipwise.connections.connection import Connection, ConnectionDescription, Skip
from skipwise.randomness import uniform_per_example
from skipwise.shapes import AnyStream, Place, Stream


@dataclass(frozen=True, kw_only=True)
class StochasticDepth(ConnectionDescription):
    """Drop the branch of whole blocks in training, example by example.

    Args:
        survival: p_L, the probability that the last block's branch survives, in (0, 1].
        inner: The connection whose branch is dropped.
    """

    survival: float = 0.5
    inner: ConnectionDescription = field(default_factory=Additive)

    def __post_init__(self):
        if not 0 < self.survival <= 1:
            raise ValueError(f"survival must lie in (0, 1], got {self.survival}; 1 drops nothing")

    def build(self, place: Place, skip: Skip) -> Connection:
        """Make it for one place, with the survival that the linear schedule gives there."""
        survival = linear_survival(self.survival, place.index, place.depth)
        return StochasticDepthConnection(
            self.inner.build(place, skip), survival=survival, lane=place.index
        )

    def branch_place(self, place: Place) -> Place:
        """Say what the inner connection says."""
        return self.inner.branch_place(place)

    def expand(self, stream: Stream) -> AnyStream:
        """Expand as the inner connection does."""
        return self.inner.expand(stream)

    def collapse(self, state: AnyStream) -> Stream:
        """Collapse as the inner connection does."""
        return self.inner.collapse(state)


def innermost(connection: ConnectionDescription) -> ConnectionDescription:
    """Give the connection whose branch is dropped; any other is its own."""
    while isinstance(connection, StochasticDepth):
        connection = connection.inner
    return connection


def linear_survival(last: float, index: int, depth: int) -> float:
    """Give p_l = 1 − (l/L)(1 − p_L) for block l = index + 1 of L = depth.

    The expected depth of ResNet-110, in blocks:

    >>> round(sum(linear_survival(0.5, index, 54) for index in range(54)), 2)
    40.25

    Source: Huang et al. (2016), "Deep networks with stochastic depth", eq. 4.
    """
    return 1 - (index + 1) / depth * (1 - last)


@final
class StochasticDepthConnection(Connection):
    """The inner connection with branch ``(m/p)·F``: m ~ Bernoulli(p) per example, p in evaluation.

    Args:
        inner: The connection whose branch is dropped.
        survival: p.
        lane: Which of the independent random streams of an example decides here; one per block.

    Source: Huang et al. (2016), eq. 2 and 5. Differs: each example draws for itself and the branch
    is divided by p in training, where the paper draws once per batch and multiplies by p in the
    test; the expectation is the same.
    """

    def __init__(self, inner: Connection, *, survival: float, lane: int = 0):
        super().__init__()
        self.inner = inner
        self.survival = float(survival)
        self.lane = lane

    def forward(self, stream: AnyStream, branch: nn.Module) -> AnyStream:
        """Join the branch through the inner connection, thinned in training."""
        if not self.training or self.survival == 1.0:
            return self.inner(stream, branch)
        kept = uniform_per_example(self.lane, stream.shape[0], stream.device) < self.survival
        return self.inner(stream, Thinned(branch, kept, self.survival))


@final
class Thinned(nn.Module):
    """``(m/p)·F(x)``, m one number, 0 or 1, per example.

    Args:
        branch: F.
        kept: m, shape ``(batch,)``.
        survival: p.
    """

    def __init__(self, branch: nn.Module, kept: Tensor, survival: float):
        super().__init__()
        self.branch = branch
        self.kept, self.survival = kept, survival

    def forward(self, x: Stream) -> Stream:
        """Give the thinned branch."""
        output = self.branch(x)
        factors = self.kept.to(output.dtype) / self.survival
        return output * factors.view(-1, *[1] * (output.dim() - 1))
