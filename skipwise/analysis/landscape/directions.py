"""Directions in the space of weights, of one meaning for networks that compute the same."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from skipwise.analysis.weights import Weights
from skipwise.randomness import generator

Direction = Mapping[str, Tensor]


def random_direction(model: nn.Module, *key: int | str) -> dict[str, Tensor]:
    """Draw independent normal numbers for every parameter; the key decides them everywhere."""
    drawn = {}
    for name, parameter in model.named_parameters():
        numbers = torch.randn(parameter.shape, generator=generator(*key, name))
        drawn[name] = numbers.to(parameter.device, parameter.dtype)
    return drawn


def filter_normalised(direction: Direction, weights: Weights) -> dict[str, Tensor]:
    """Give each filter of a direction the length of the filter it moves: ``d ← d·‖θ‖/‖d‖``.

    A filter is what makes one output, a slice along the first axis. Tensors of one axis (biases,
    scales and shifts of norms) do not move. A ReLU network whose layers are rescaled against each
    other computes the same, and along filter-normalised directions its loss is the same too.

    Args:
        direction: A tensor for each parameter.
        weights: θ.

    Source: Li et al. (2018), "Visualizing the loss landscape of neural nets", section 4.
    """
    scaled = {}
    for name, tensor in direction.items():
        if tensor.dim() < 2:
            scaled[name] = torch.zeros_like(tensor)
            continue
        lengths = [_filter_norms(each) for each in (weights[name].detach(), tensor)]
        ratio = torch.where(lengths[1] > 0, lengths[0] / lengths[1], 0.0)
        scaled[name] = tensor * ratio.reshape(-1, *(1 for _ in tensor.shape[1:])).to(tensor.dtype)
    return scaled


def _filter_norms(tensor: Tensor) -> Tensor:
    return torch.linalg.vector_norm(tensor.flatten(1), dim=1)


def moved(
    weights: Weights, directions: Sequence[Direction], amounts: Sequence[float]
) -> dict[str, Tensor]:
    """Give ``θ + Σ aᵢ·dᵢ``; what no direction names stays.

    Raises:
        ValueError: If a direction names what is not among the weights, or in another shape.
    """
    for direction in directions:
        _check(direction, weights)
    result = {name: tensor.detach() for name, tensor in weights.items()}
    for direction, amount in zip(directions, amounts, strict=True):
        for name, tensor in direction.items():
            result[name] = result[name] + amount * tensor.to(result[name])
    return result


def _check(direction: Direction, weights: Weights) -> None:
    for name, tensor in direction.items():
        if name not in weights:
            raise ValueError(
                f"the direction moves {name!r}, which the model has not; it has"
                f" {', '.join(list(weights)[:6])}, …"
            )
        if tensor.shape != weights[name].shape:
            raise ValueError(
                f"{name} has the shape {tuple(weights[name].shape)} in the model and"
                f" {tuple(tensor.shape)} in the direction; give one number for each weight"
            )
