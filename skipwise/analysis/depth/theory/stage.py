"""A stage as theory sees it: a row of blocks of one shape, with what was measured at their ends."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, kw_only=True)
class Layer:
    """A matrix of weights, or a convolution.

    ``weights`` is Σ W²/(outputs) = n·Var(W), ``biases`` is E b². A tap of a convolution meets zeros
    of the padding at some positions; with f, the share of positions at which it does not, it is
    Σ W²·f/(outputs), and ``kept`` is Σ W²·f²/Σ W²·f, what of it a mean over positions keeps.
    """

    weights: float
    biases: float
    width: int
    kept: float = 1.0


@final
@dataclass(frozen=True, kw_only=True)
class Moments:
    """A second moment, and the squared channel mean that it holds."""

    moment: float
    mean: float

    @property
    def variance(self) -> float:
        """The channel variance."""
        return self.moment - self.mean


@final
@dataclass(frozen=True, kw_only=True)
class Step:
    """One block of a stage, as theory sees it.

    ``gain`` is the measured E F²/E x²; ``norms`` (over the batch), ``other_norms``, ``bends`` and
    ``layers`` are what stands between the block's input and the next block's; ``after`` names what
    follows the sum, ``ends`` says whether the branch ends in a matrix, and ``scale`` is E α² of the
    factors behind it. ``order`` names what the branch passes, W for a matrix.

    ``identity`` says whether the skip is the identity, and ``begun`` what it carries where it
    begins anew, behind a BatchNorm of its own. ``silent`` says whether F and its Jacobian are zero
    on this batch, ``unit`` whether all norms over the batch have γ = 1 and β = 0, ``known`` whether
    skip and branch can be told apart.
    """

    skip: bool
    gain: float
    norms: int
    other_norms: tuple[str, ...]
    bends: tuple[str, ...]
    layers: tuple[Layer, ...]
    after: tuple[str, ...]
    ends: bool
    scale: float = 1.0
    order: tuple[str, ...] = ()
    identity: bool = True
    begun: Moments | None = None
    silent: bool = False
    unit: bool = True
    known: bool = True


@final
@dataclass(frozen=True, kw_only=True)
class Stage:
    """A row of blocks of one shape, and what was measured at the ends of all of them.

    ``first`` is the number of its first row; ``rectified`` says whether nothing of the first stream
    is negative, and ``let_through`` is the share of ‖g‖² at its end that passes the last ReLU.
    """

    steps: tuple[Step, ...]
    moment: tuple[float, ...]
    variance: tuple[float, ...]
    correlation: tuple[float, ...]
    gradient: tuple[float, ...]
    rectified: bool = False
    let_through: float = 1.0
    first: int = 0

    @property
    def known(self) -> bool:
        """Whether skip and branch can be told apart in every block."""
        return all(step.known for step in self.steps)

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
    def unit(self) -> bool:
        """Whether all norms over the batch have γ = 1 and β = 0."""
        return all(step.unit for step in self.steps)

    @property
    def width(self) -> int:
        """The least number of outputs of a layer."""
        return min((layer.width for step in self.steps for layer in step.layers), default=1)

    @property
    def strange(self) -> tuple[str, ...]:
        """What no theory of skips knows: norms that are not over the batch, skips that change x."""
        changed = any(step.skip and not step.identity for step in self.steps)
        return (*self.other_norms, *(["a skip that is not the identity"] if changed else []))

    @property
    def other_norms(self) -> tuple[str, ...]:
        """All norms that no theory knows: those that are not over the batch."""
        return tuple(name for step in self.steps for name in step.other_norms)

    @property
    def bends(self) -> tuple[str, ...]:
        """All activations."""
        return tuple(name for step in self.steps for name in step.bends)

    @property
    def mean(self) -> tuple[float, ...]:
        """The squared channel means."""
        return tuple(q - v for q, v in zip(self.moment, self.variance, strict=True))

    def bent_by(self, name: str) -> bool:
        """Whether this activation, and no other, stands in the stage."""
        return all(set(step.bends) == {name} for step in self.steps)
