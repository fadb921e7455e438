"""The contract of an update rule, and what its members share.

``weight_decay`` belongs to the strategy, which decides which parameters decay; whether it is added
to the gradient (SGD, Adam) or taken from the weights directly (AdamW, SGDW) is the rule's own
matter, and so is every other number.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any, ClassVar, Self

from torch import Tensor, nn
from torch.optim import Optimizer

from skipwise.description import Description

Groups = Sequence[dict[str, Any]]


class Optimiser(Description, ABC):
    """The frozen choice of an update rule.

    ``is_elementwise`` says whether each number of a parameter is updated by its own gradient and
    history alone, so that shares of a parameter may be updated apart. ``can_skip`` says whether a
    step that the closure breaks off leaves parameters and state as they were: the rule asks for the
    gradient before it changes anything, or puts it back. ``epsilon_power`` says to which power of
    the gradient ε is added, where there is an ε. ``state_in_groups`` names entries of a parameter
    group that are state, such as counters, and no options.
    """

    is_elementwise: ClassVar[bool] = False
    can_skip: ClassVar[bool] = True
    epsilon_power: ClassVar[int] = 1
    state_in_groups: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make torch's optimiser over parameter groups."""

    def for_gradients(self, factor: float) -> Self:
        """Give the rule in which ε is to gradients so many times as large what it is here to these.

        A rule within this one follows too.
        """
        changed: dict[str, Any] = {}
        for name, value in vars(self).items():
            if name == "epsilon":
                changed[name] = value * factor**self.epsilon_power
            elif isinstance(value, Optimiser):
                changed[name] = value.for_gradients(factor)
        return replace(self, **changed)  # pyright: ignore[reportArgumentType] - all are dataclasses

    @property
    def rules(self) -> tuple["Optimiser", ...]:
        """This rule and those within it."""
        inner = (value for value in vars(self).values() if isinstance(value, Optimiser))
        return (self, *(rule for part in inner for rule in part.rules))

    @property
    def epsilons(self) -> dict[str, float]:
        """Every ε by its path, ``"base.epsilon"`` for that of a rule within this one."""
        found: dict[str, float] = {}
        for name, value in vars(self).items():
            if name == "epsilon":
                found[name] = value
            elif isinstance(value, Optimiser):
                found |= {f"{name}.{path}": inner for path, inner in value.epsilons.items()}
        return found

    @property
    def kept_in_groups(self) -> tuple[str, ...]:
        """Entries of a parameter group that are state, of this rule and of those within it."""
        return tuple(name for rule in self.rules for name in rule.state_in_groups)

    def remarks(self, size: int, examples: int, steps: int) -> tuple[str, ...]:
        """Say what a run should know of the rule.

        Args:
            size: Of a batch.
            examples: How many are trained on.
            steps: Of the run.
        """
        return ()

    def remarks_on(self, drawn: tuple[str, ...]) -> tuple[str, ...]:
        """Say what a run should know whose loss is another function of the weights at each step.

        Args:
            drawn: What makes it so, in words: dropout, for example.
        """
        del drawn
        return ()

    @property
    def asks_again(self) -> bool:
        """Whether a step may ask for the gradient more than once."""
        return False

    @property
    def evaluates_others(self) -> bool:
        """Whether other weights are evaluated, and kept, than those that are trained."""
        return False

    def evaluated(self, optimiser: Optimizer) -> dict[nn.Parameter, Tensor]:
        """Give the weights to evaluate of those parameters that have others than the trained ones.

        Args:
            optimiser: What :meth:`build` made; it is left as it is.
        """
        del optimiser
        return {}


def can_fuse(groups: Groups, *, on: tuple[str, ...] = ("cpu", "cuda")) -> bool:
    """Whether torch has a fused kernel; it loops over parameters in Python unless it is asked to.

    Shares of parameters, which are tensors of another class, have none for every rule.

    Args:
        groups: The parameters.
        on: Types of the devices that the rule has a kernel for.
    """
    parameters = [p for group in groups for p in group["params"]]
    return all(
        type(p) is nn.Parameter and p.is_floating_point() and p.device.type in on
        for p in parameters
    )


def check_memories(**memories: float) -> None:
    """Refuse a momentum or memory outside of [0, 1).

    Raises:
        ValueError: If one is.
    """
    for name, value in memories.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} must lie in [0, 1), got {value}")


def check_positive(**numbers: float) -> None:
    """Refuse a number that is zero, negative or infinite.

    Raises:
        ValueError: If one is.
    """
    for name, value in numbers.items():
        if not 0 < value < inf:
            kind = "finite" if value == inf else "positive"
            raise ValueError(f"{name} must be {kind}, got {value}")


def check_not_negative(**numbers: float) -> None:
    """Refuse a negative or infinite number.

    Raises:
        ValueError: If there is one.
    """
    for name, value in numbers.items():
        if not 0 <= value < inf:
            kind = "be finite" if value == inf else "not be negative"
            raise ValueError(f"{name} must {kind}, got {value}")


def check_nesterov(momentum: float, *, nesterov: bool) -> None:
    """Refuse to look ahead along a velocity that there is not.

    Raises:
        ValueError: If there is none.
    """
    if nesterov and momentum == 0:
        raise ValueError("nesterov has no effect without momentum; set momentum, 0.9 for example")


def same_rates(groups: Groups, rule: str) -> None:
    """Refuse groups with rates of their own, for a rule that has one rate.

    Raises:
        ValueError: If a group has a factor on the rate.
    """
    if any(group.get("factor", 1.0) != 1.0 for group in groups):
        raise ValueError(
            f"{rule} has one rate for all parameters; leave layer_decay, scalar_rate and rates out"
        )
