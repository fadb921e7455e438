"""Whether a user's own network can read the examples, before anything is trained.

torch tells of a layer that does not fit by the shape of its weights. Here the network sees a batch
of zeros once, and the layer in which it fails is asked what it expects: what it says is compared
with what it got, and only a difference between the two is told. What fails for any other reason is
left to the training, whose error has the line in the user's own code.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from skipwise.networks.network import offered
from skipwise.shapes import Ends

EXAMPLES = 2  # a layer that squeezes must not lose the axis of the batch


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What layers of a kind expect along one axis of their input."""

    kind: type[nn.Module] | tuple[type[nn.Module], ...]
    axis: int
    unit: str
    wanted: Callable[[Any], int]


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
READINGS = (
    Reading(kind=_ConvNd, axis=1, unit="channels", wanted=lambda layer: layer.in_channels),
    Reading(kind=BATCH_NORMS, axis=1, unit="channels", wanted=lambda layer: layer.num_features),
    Reading(kind=nn.GroupNorm, axis=1, unit="channels", wanted=lambda layer: layer.num_channels),
    Reading(kind=nn.Linear, axis=-1, unit="features", wanted=lambda layer: layer.in_features),
    Reading(
        kind=nn.LayerNorm, axis=-1, unit="features", wanted=lambda layer: layer.normalized_shape[-1]
    ),
    Reading(kind=nn.RNNBase, axis=-1, unit="features", wanted=lambda layer: layer.input_size),
)


def check_reads(model: nn.Module, ends: Ends, *, of: str, device: torch.device) -> None:
    """Refuse a network with a layer that cannot read what the examples become there.

    The network is in evaluation mode meanwhile, and draws nothing: hold the generators outside.

    Args:
        model: The network, on its device.
        ends: Shapes of an example's input and output.
        of: What the network is called.
        device: Where the network is.

    Raises:
        ValueError: With the layer, what it expects, what it gets, and what to do.
    """
    inputs = torch.zeros((EXAMPLES, *ends.inputs), device=device)
    entered: list[tuple[str, nn.Module, Tensor]] = []
    try:
        with torch.no_grad(), evaluating(model), _noting(model, entered):
            model(inputs)
    except Exception:  # anything may be raised by a user's code; only what is understood is told
        said = misfit(*entered[-1]) if entered else ""
        if said:
            values = ", ".join(f"{name}={value}" for name, value in offered(ends).items())
            raise ValueError(
                f"{of} does not fit the data, whose examples have shape {ends.inputs}: {said};"
                f" give data that fit, or build that layer for these: {of} is offered {values}"
            ) from None


def misfit(name: str, layer: nn.Module, given: Tensor) -> str:
    """Say what a layer expects and what it gets instead; nothing if these agree.

    >>> misfit("first", nn.Conv2d(3, 8, 3), torch.zeros(2, 1, 8, 8))
    "layer 'first' (Conv2d) expects 3 channels and gets 1"
    >>> misfit("first", nn.Conv2d(1, 8, 3), torch.zeros(2, 1, 8, 8))
    ''
    """
    what = f"layer {name!r} ({type(layer).__name__})"
    if isinstance(layer, _ConvNd) and given.dim() != len(layer.kernel_size) + 2:
        axes = len(layer.kernel_size)
        return (
            f"{what} expects examples of {axes + 1} axes, channels before the {axes} of space, and"
            f" gets {tuple(given.shape[1:])}"
        )
    for reading in READINGS:
        if isinstance(layer, reading.kind) and given.dim() > 1:
            wanted, got = reading.wanted(layer), given.shape[reading.axis]
            if wanted != got:
                return f"{what} expects {wanted} {reading.unit} and gets {got}"
    window = _window(layer, given.dim() - 2)
    if window and any(w > size for w, size in zip(window, given.shape[2:], strict=True)):
        return (
            f"{what} needs at least {'×'.join(map(str, window))} points of space and gets"
            f" {'×'.join(map(str, given.shape[2:]))}"
        )
    return ""


def _window(layer: nn.Module, axes: int) -> tuple[int, ...]:
    """Give the least size of space that a convolution or a pooling reads; empty for others."""
    pools = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
    if isinstance(layer, _ConvNd):
        padded, dilation = layer.padding, layer.dilation
    elif isinstance(layer, pools):
        padded, dilation = layer.padding, layer.dilation
    elif isinstance(layer, nn.AvgPool2d | nn.AvgPool3d):
        padded, dilation = layer.padding, 1
    else:
        return ()
    if isinstance(padded, str) or (isinstance(layer, _ConvNd) and layer.transposed):
        return ()
    each = [
        v if isinstance(v, tuple) else (v,) * axes for v in (layer.kernel_size, padded, dilation)
    ]
    if any(len(values) != axes for values in each):
        return ()
    return tuple(d * (k - 1) + 1 - 2 * p for k, p, d in zip(*each, strict=True))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Hold a model in evaluation mode, so that no statistics move; then each part is as before."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _noting(model: nn.Module, entered: list[tuple[str, nn.Module, Tensor]]) -> Iterator[None]:
    """Keep in a list the modules that were entered and not left, each with its first input."""

    def enters(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: tuple[Any, ...]) -> None:
            first = given[0] if given and isinstance(given[0], Tensor) else torch.empty(0)
            entered.append((name, module, first))

        return hook

    def leaves(*_: Any) -> None:
        entered.pop()

    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(enters(name)))
        handles.append(module.register_forward_hook(leaves))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
