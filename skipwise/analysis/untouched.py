"""Measuring leaves no trace: what an analysis may have changed is put back, also when it fails.

Put back are the random states (torch on the CPU and on GPUs in use, numpy, random), buffers such as
BatchNorm's statistics, the mode of every module, ``requires_grad`` and ``.grad`` of every
parameter, and hooks. Hooks of others stay and run, because they may be part of what the model
computes (``weight_norm`` is one).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from skipwise.randomness import seeded

HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


@contextmanager
def untouched(model: nn.Module, *, weights: bool = False, seed: int = 0) -> Iterator[None]:
    """Put everything back at the end that an analysis may have changed.

    Inside, gradients can be computed whatever the caller's context, ``.grad`` of every parameter is
    None, and the random states start from the seed, so that a measurement repeats.

    Args:
        model: What is measured.
        weights: Whether the values of the parameters are put back too, for an analysis that moves
            them; costs a copy of them.
        seed: Where random layers (dropout) start.
    """
    with ExitStack() as stack:
        stack.enter_context(seeded(seed, "analysis"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for module in model.modules():
            stack.callback(_module_restorer(module))
        for parameter in model.parameters():
            stack.callback(_parameter_restorer(parameter, weights=weights))
            parameter.grad = None
        yield


def _module_restorer(module: nn.Module) -> Callable[[], None]:
    """Give what puts back a module's mode, hooks and buffers."""
    fields = vars(module)
    training, full = module.training, fields.get("_is_full_backward_hook")
    hooks = {name: dict(fields[name]) for name in HOOKS if name in fields}
    buffers = {
        name: (buffer, buffer.detach().clone())
        for name, buffer in module._buffers.items()
        if buffer is not None
    }

    def restore() -> None:
        module.training = training
        fields["_is_full_backward_hook"] = full
        for name, before in hooks.items():
            if dict(fields[name]) != before:  # in place: handles of others refer to this dictionary
                fields[name].clear()
                fields[name].update(before)
        for name, (buffer, value) in buffers.items():
            module._buffers[name] = buffer
            if not torch.equal(buffer, value):
                # BatchNorm moves its statistics without a new version, so they go back without one.
                buffer.data.copy_(value)

    return restore


def _parameter_restorer(parameter: nn.Parameter, *, weights: bool) -> Callable[[], None]:
    """Give what puts back a parameter's gradient, its flag and, if asked, its value."""
    requires, gradient = parameter.requires_grad, parameter.grad
    value = parameter.detach().clone() if weights else None

    def restore() -> None:
        parameter.requires_grad_(requires)
        parameter.grad = gradient
        if value is not None:
            parameter.data.copy_(value)

    return restore
