"""The contract: one function builds a specimen from a seed, with the fault or without it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, final

from torch import Tensor, nn
from torch.optim import Optimizer

from skipwise.analysis import Rule
from skipwise.analysis.problem import Loss
from skipwise.diagnosis import Level
from skipwise.diagnosis.history import History

Pair: TypeAlias = tuple[Tensor, Tensor]


@final
@dataclass(frozen=True, kw_only=True)
class Specimen:
    """A model at one moment of its training, and all that an examination may ask for.

    Args:
        model: As it stands.
        batches: Pairs (inputs, targets) that it is trained on.
        loss: ``(output, targets) → one number``; the cross-entropy if None.
        optimiser: The one that trains it, with its state; None where it was never trained.
        history: What its training left behind.
        validation: Pairs that it was not trained on.
        start: Its weights before the first update.
    """

    model: nn.Module
    batches: Sequence[Pair]
    loss: Loss | None = None
    optimiser: Optimizer | Rule | None = None
    history: History | None = None
    validation: Sequence[Pair] | None = None
    start: Mapping[str, Tensor] | None = None

    def asked(self) -> dict[str, Any]:
        """Give all but the model and its batches, by the names that an examination uses."""
        return {
            "loss": self.loss,
            "optimiser": self.optimiser,
            "history": self.history,
            "validation": self.validation,
            "start": self.start,
        }


class Build(Protocol):
    """Makes the faulty specimen or its healthy twin: all but the fault follows from the seed."""

    def __call__(self, seed: int, *, faulty: bool) -> Specimen:
        """Make it."""
        ...


@final
@dataclass(frozen=True, kw_only=True)
class Case:
    """A planted fault with its healthy twin.

    Args:
        name: What the command line calls it.
        rule: The rule that has to find it: ``V0`` to ``V13``.
        build: Makes both.
        difference: The one thing in which they differ, the fault first.
        theory: What is known of the fault without measuring it.
        least: The mildest level that counts as found. It is FAIL but for rules that never give it,
            because what they look for has innocent causes too.
    """

    name: str
    rule: str
    build: Build
    difference: str
    theory: str
    least: Level = Level.FAIL


@final
@dataclass(frozen=True, kw_only=True)
class Design:
    """A healthy network that looks like a faulty one to a careless rule.

    Args:
        name: What the command line calls it.
        build: Makes it from a seed.
        lure: What a careless rule would hold against it.
    """

    name: str
    build: Callable[[int], Specimen]
    lure: str
