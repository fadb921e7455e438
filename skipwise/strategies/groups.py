"""Groups of parameters: which decay, and which have a lower rate because they lie deeper."""

from collections.abc import Mapping
from typing import Any

from torch import nn

OWN_OF_CONNECTION = ("connection", "inner")


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay is due.

    Not to biases, norms and scales (fewer than two axes), and not to the mixing matrices that a
    connection holds itself: pulling these to zero pulls the stream to zero.
    """
    owner = name.rpartition(".")[0].rpartition(".")[2]
    return parameter.dim() >= 2 and owner not in OWN_OF_CONNECTION


def decay_groups(
    module: nn.Module,
    weight_decay: float,
    *,
    layer_decay: float = 1.0,
    distances: Mapping[str, int] | None = None,
    scalar_rate: float = 1.0,
) -> list[dict[str, Any]]:
    """Split the trainable parameters by whether they decay, by distance from the head, by size.

    Empty groups are left out.

    Args:
        module: Any module.
        weight_decay: Of those that decay.
        layer_decay: d; the group at distance k has ``factor`` d^k, which multiplies the rate.
        distances: Blocks between a parameter and the head, by name; 0 where it is not named.
        scalar_rate: Multiplies ``factor`` for parameters of one number.

    Raises:
        ValueError: If there is nothing to train.
    """
    far = distances or {}
    groups: dict[tuple[int, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            is_scalar = scalar_rate != 1.0 and parameter.numel() == 1
            kind = (far.get(name, 0), not decays(name, parameter), is_scalar)
            groups.setdefault(kind, []).append(parameter)
    if not groups:
        raise ValueError("the network has no trainable parameter")
    return [
        {
            "params": groups[distance, spared, is_scalar],
            "weight_decay": 0.0 if spared else weight_decay,
            "factor": layer_decay**distance * (scalar_rate if is_scalar else 1.0),
        }
        for distance, spared, is_scalar in sorted(groups)
    ]
