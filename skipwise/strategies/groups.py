"""Which parameters decay: the weights of convolutions and linear maps, and nothing else."""

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


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters into those that decay and those that do not.

    Empty groups are left out.

    Raises:
        ValueError: If there is nothing to train.
    """
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    if not named:
        raise ValueError("the network has no trainable parameter")
    split = [
        {"params": [p for name, p in named if decays(name, p)], "weight_decay": weight_decay},
        {"params": [p for name, p in named if not decays(name, p)], "weight_decay": 0.0},
    ]
    return [group for group in split if group["params"]]
