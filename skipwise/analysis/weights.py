"""Two sets of weights: a mapping from names to tensors, such as a ``state_dict``."""

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from skipwise.analysis.problem import as_module

Weights: TypeAlias = Mapping[str, Tensor]


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Copy what a model holds, parameters and buffers, to compare or to return to later."""
    named = (*as_module(model).named_parameters(), *model.named_buffers())
    return {name: tensor.detach().clone() for name, tensor in named}


def place(model: nn.Module, weights: Weights) -> None:
    """Write a set of weights, and of buffers where it has them, into a model.

    Raises:
        ValueError: If a parameter is not among them, or has another shape.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(_named(weights, name, parameter))
        for name, buffer in model.named_buffers():
            if name in weights:
                buffer.copy_(_named(weights, name, buffer))


def _named(weights: Weights, name: str, like: Tensor) -> Tensor:
    if name not in weights:
        raise ValueError(
            f"the weights have no {name!r}, so they are of another model; take a state_dict of it"
        )
    if weights[name].shape != like.shape:
        raise ValueError(
            f"{name} has the shape {tuple(like.shape)} in the model and"
            f" {tuple(weights[name].shape)} in the weights; they are of another model"
        )
    return weights[name].detach()


def pairs(
    first: Weights, second: Weights, model: nn.Module | None = None
) -> dict[str, tuple[Tensor, Tensor]]:
    """Join two sets by name: the parameters of the model, or all floating tensors without one.

    Without a model what is infinite and the same in both is left out: a buffer that holds
    infinities on purpose, as causal masks do, and that no step moves.

    Raises:
        ValueError: If a name or a shape is not in both, a number is not finite, or nothing is left.
    """
    names = [n for n, tensor in first.items() if tensor.is_floating_point()]
    if model is not None:
        names = [name for name, _ in as_module(model).named_parameters()]
    found = {}
    for name in names:
        one = first.get(name)
        if one is None:
            raise ValueError(f"the first weights have no {name!r}; take both from the same model")
        both = one.detach(), _named(second, name, one)
        if all(bool(torch.isfinite(tensor).all()) for tensor in both):
            found[name] = both
        elif model is not None or not torch.equal(both[0], both[1].to(both[0])):  # NaN is unequal
            raise ValueError(
                f"{name} holds numbers that are not finite in one of the sets of weights; the"
                " training diverged before: take weights from an earlier step"
            )
    if not found:
        raise ValueError("the weights hold no floating tensors, so there is nothing to compare")
    return found
