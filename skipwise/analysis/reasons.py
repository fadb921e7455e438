"""Why a model cannot be computed on a batch, or a loss not be taken: one sentence, with a cure.

What torch says of it names a kernel or an argument of its own; the reason is nearly always that
inputs, outputs or targets are not what the other side was made for.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

IGNORED = -100  # the target that cross-entropy leaves out


@final
class Unmeasurable(ValueError):
    """What a measurement itself says of a model while that runs; it passes on as it is."""


def described(value: Any) -> str:
    """Say in a few words what was given.

    >>> described((torch.ones(2, 3), None))
    'a tuple of float32 of shape (2, 3) and NoneType'
    """
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} with {', '.join(map(str, value)) or 'nothing'}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {' and '.join(map(described, value)) or 'nothing'}"
    return type(value).__name__


def why_not_computed(model: nn.Module, inputs: Any, targets: Any, error: Exception) -> str:
    """Say what a model was given and what it says of it."""
    cure = "give inputs of the shape and type that it was made for"
    if isinstance(inputs, tuple) and isinstance(targets, tuple):
        cure += ", and several batches as a list of pairs, not as a tuple"
    return (
        f"{type(model).__name__} cannot be computed on its inputs, {described(inputs)}:"
        f" {_said(error)}; {cure}"
    )


def why_no_loss(
    loss: Callable[..., Any], output: Any, targets: Any, error: Exception
) -> str | None:
    """Say what keeps a loss from comparing output and targets.

    Returns:
        None where a loss of the caller's own has failed for no reason that can be seen from here:
        then its own error says most.
    """
    said = _said(error)
    if not isinstance(output, Tensor) and (
        _is_torchs(loss) or isinstance(error, TypeError | AttributeError)
    ):
        return (
            f"the model gives {described(output)}, which the loss cannot read ({said}); pass a loss"
            " that takes what it needs from it: loss=lambda output, targets: …"
        )
    if targets is None and (_is_torchs(loss) or "NoneType" in said):
        return (
            f"there are no targets, and the loss needs them ({said}); give a pair (inputs,"
            " targets), or a loss that needs none: loss=lambda output, _: …"
        )
    if isinstance(output, Tensor) and isinstance(targets, Tensor):
        if output.device != targets.device:
            return (
                f"the model's output is on {output.device} and the targets on {targets.device};"
                f" move the targets: targets.to('{output.device}')"
            )
        if isinstance(error, IndexError) and (outside := why_outside(output, targets)):
            return outside
    if not _is_torchs(loss):
        return None
    return (
        f"the loss cannot compare the model's output, {described(output)}, with the targets,"
        f" {described(targets)}: {said}; pass the targets, or the loss, that belong to this model"
    )


def why_outside(output: Any, targets: Any) -> str:
    """Say that targets lie outside the classes of an output; nothing where they do not.

    To be asked before the loss is taken: on a GPU it is too late afterwards.
    """
    if not (isinstance(output, Tensor) and isinstance(targets, Tensor)) or not output.dim():
        return ""
    whole = targets.dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
    if not whole or not targets.numel() or targets.device != output.device or targets.is_meta:
        return ""
    classes = output.shape[1] if output.dim() > 1 else output.shape[0]
    meant = targets[targets != IGNORED]
    if not bool(((meant < 0) | (meant >= classes)).any()):
        return ""
    return (
        f"the targets reach from {int(meant.min())} to {int(meant.max())}, and the model's output"
        f" has {classes} classes, 0 to {classes - 1}; number the classes from 0, or give the model"
        " as many outputs"
    )


def _is_torchs(loss: Callable[..., Any]) -> bool:
    module = inspect.getmodule(loss)
    return module is not None and module.__name__.startswith("torch.")


def _said(error: Exception) -> str:
    """Give the first line of an error, with its kind."""
    line = " ".join(str(error).strip().split("\n")[0].split()).rstrip(".")
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
