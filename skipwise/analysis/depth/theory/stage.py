"""A stage as theory sees it: a row of blocks of one shape, with what was measured at their ends."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, kw_only=True)
class Layer:
    """A matrix of weights: ``weights`` is Σ W²/(outputs) = n·Var(W), ``biases`` is E b²."""

    weights: float
    biases: float
    width: int


@final
@dataclass(frozen=True, kw_only=True)
class Step:
    """One block of a stage, as theory sees it.

    ``gain`` is the measured E F²/E x²; ``norms`` (over the batch), ``other_norms``, ``bends`` and
    ``layers`` are what stands between the block's input and the next block's; ``after`` names what
    follows the sum, ``ends`` says whether the branch ends in a matrix.
    """

    skip: bool
    gain: float
    norms: int
    other_norms: tuple[str, ...]
    bends: tuple[str, ...]
    layers: tuple[Layer, ...]
    after: tuple[str, ...]
    ends: bool


@final
@dataclass(frozen=True, kw_only=True)
class Stage:
    """A row of blocks of one shape, and what was measured at the ends of all of them."""

    steps: tuple[Step, ...]
    moment: tuple[float, ...]
    variance: tuple[float, ...]
    correlation: tuple[float, ...]
    gradient: tuple[float, ...]

    @property
    def skip(self) -> bool:
        """Whether every block has a skip."""
        return all(step.skip for step in self.steps)

    @property
    def plain(self) -> bool:
        """Whether none has."""
        return not any(step.skip for step in self.steps)

    @property
    def normed(self) -> bool:
        """Whether every block normalises over the batch."""
        return all(step.norms > 0 for step in self.steps)

    @property
    def width(self) -> int:
        """The least number of outputs of a layer."""
        return min((layer.width for step in self.steps for layer in step.layers), default=1)

    @property
    def other_norms(self) -> tuple[str, ...]:
        """All norms that no theory knows: those that are not over the batch."""
        return tuple(name for step in self.steps for name in step.other_norms)

    @property
    def bends(self) -> tuple[str, ...]:
        """All activations."""
        return tuple(name for step in self.steps for name in step.bends)

    def bent_by(self, name: str) -> bool:
        """Whether this activation, and no other, stands in the stage."""
        return all(set(step.bends) == {name} for step in self.steps)
