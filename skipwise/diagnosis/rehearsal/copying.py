"""A model and its optimiser, copied together: the copy of one refers to the copy of the other."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer


def copied(model: nn.Module, optimiser: Optimizer) -> tuple[nn.Module, Optimizer]:
    """Copy a model with the optimiser that trains it, its state included.

    An optimiser's own hooks, and a ``step`` that a scheduler of torch put in place of the class's,
    are left out: they refer to the original and would act on it.

    Args:
        model: Any module that ``copy.deepcopy`` can copy.
        optimiser: Any of torch's kind, also one made of others.

    Raises:
        ValueError: If one of them cannot be copied.
    """
    every = list({id(each): each for each in _within(optimiser)}.values())
    # torch copies an optimiser by three of its attributes, which L-BFGS and wrappers outgrow.
    memo: dict[int, Any] = {id(each): object.__new__(type(each)) for each in every}
    try:
        twin = copy.deepcopy(model, memo)
        for each in every:
            vars(memo[id(each)]).update({
                name: copy.deepcopy(value, memo) for name, value in _kept(each)
            })
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            "model and optimiser cannot be copied, so no step can be rehearsed"
            f" ({str(error).splitlines()[0]}); see that copy.deepcopy(model) works"
        ) from error
    return twin, memo[id(optimiser)]


def _within(value: Any) -> Iterator[Optimizer]:
    """Yield an optimiser and those that it is made of."""
    if isinstance(value, Optimizer):
        yield value
        for name, inner in vars(value).items():
            if name not in ("state", "param_groups", "defaults"):
                yield from _within(inner)
    elif isinstance(value, list | tuple | Mapping):
        inside: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
        for inner in inside:
            yield from _within(inner)


def _kept(optimiser: Optimizer) -> Iterator[tuple[str, Any]]:
    for name, value in vars(optimiser).items():
        if name.endswith("_hooks"):
            yield name, type(value)()
        elif name != "step":
            yield name, value
