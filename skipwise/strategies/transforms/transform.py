"""The contract: what happens to a gradient between the backward pass and the update.

A transform is a pair of pure functions, as in optax: ``begin`` gives the state it starts with,
``apply`` changes the gradient in place and gives the state that follows. All values stay on the
device; nothing here waits for it.

A rule that asks for the gradient several times in a step (SAM twice, LBFGS up to twenty times) has
it transformed each time, always with the state that the step began with; only the state that
follows the last call is kept, because that gradient is the one the weights were moved by.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from skipwise.description import Description

State: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Learning:
    """A parameter that has a gradient.

    Args:
        name: Of the parameter.
        parameter: It; its ``.grad`` is changed in place.
        role: The part it plays, one of ``ROLES``.
        of_head: Whether it is the matrix or the bias of the head.
    """

    name: str
    parameter: nn.Parameter
    role: str
    of_head: bool = False


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What a transform gives.

    Args:
        norm: Euclidean norm of the whole gradient as it is now, shape ``()``.
        state: That the next step begins with.
        clipped: For those that bound lengths: whether the gradient, or that of a unit, was
            shortened, shape ``()``.
    """

    norm: Tensor
    state: State = field(default_factory=dict)
    clipped: Tensor | None = None


class GradientTransform(Description, ABC):
    """The frozen choice of a change of the gradient.

    ``place`` is its number in the only order that makes sense: centralise, bound unit by unit,
    bound the whole, add noise. ``clips_units`` says that what it bounds are units, not the whole.
    """

    place: ClassVar[int]
    clips_units: ClassVar[bool] = False

    def begin(self) -> State:
        """Give the state before the first step."""
        return {}

    def remarks(self, steps: int) -> tuple[str, ...]:
        """Say what a run of so many steps should know of it."""
        del steps
        return ()

    @abstractmethod
    def apply(self, learning: Sequence[Learning], norm: Tensor, state: State, step: int) -> Applied:
        """Change the gradient in place.

        Args:
            learning: The parameters that have a gradient.
            norm: Euclidean norm of the whole gradient, shape ``()``.
            state: As the step before left it.
            step: Updates before this one.
        """


def gradients(learning: Sequence[Learning]) -> list[Tensor]:
    """Give the gradients of the parameters."""
    return [entry.parameter.grad for entry in learning if entry.parameter.grad is not None]


def total_norm(learning: Sequence[Learning]) -> Tensor:
    """Measure the Euclidean norm of the whole gradient, shape ``()``."""
    return get_total_norm(gradients(learning))


def bound(learning: Sequence[Learning], norm: Tensor, limit: Tensor | float) -> Tensor:
    """Scale the whole gradient by ``min(1, limit/(norm + 1e-6))``, and give its norm then.

    Source: Pascanu et al. (2013), algorithm 1, in torch's form.
    """
    parameters = [entry.parameter for entry in learning]
    if isinstance(limit, Tensor):
        factor = (limit / (norm + 1e-6)).clamp(max=1.0)
        for gradient in gradients(learning):
            gradient.mul_(factor.to(gradient.dtype))
        return norm * factor
    clip_grads_with_norm_(parameters, limit, norm)
    return norm * (limit / (norm + 1e-6)).clamp(max=1.0)
