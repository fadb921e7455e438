"""What stands between two points of a graph, in the words of theory: bends, norms, the rest linear.

Theory knows few operations. Whatever is not known to be linear counts as a bend under its own name,
so that no theory of other networks is held against this one.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from skipwise.analysis.graph import Point, nodes_between

BENDS = {
    "Relu": "ReLU",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Gelu": "GELU",
    "Silu": "SiLU",
    "LeakyRelu": "LeakyReLU",
    "PreluKernel": "PReLU",
    "Elu": "ELU",
    "Celu": "CELU",
    "Softmax": "softmax",
}
NORMS = {
    "NativeLayerNorm": "LayerNorm",
    "NativeGroupNorm": "GroupNorm",
    "FusedRmsNorm": "RMSNorm",
    "Rsqrt": "a norm by 1/√ (RMSNorm)",
    **dict.fromkeys(("LinalgVectorNorm", "Norm", "Std", "Var", "StdMean", "VarMean"), "a norm"),
}
MATRICES = ("Addmm", "Mm", "Bmm", "Baddbmm", "Addbmm", "Addmv", "Mv", "Linear")
MULTIPLYING = (*MATRICES, "Mul", "Div")
LINEAR = {
    *MULTIPLYING,
    *("Add", "Sub", "Rsub", "Neg", "Mean", "Sum", "NativeDropout", "ToCopy", "Copy", "CopySlices"),
    *("T", "Transpose", "Permute", "View", "UnsafeView", "Reshape", "ReshapeAlias", "AsStrided"),
    *("Expand", "Repeat", "Clone", "Alias", "Slice", "Select", "Squeeze", "Unsqueeze", "Flip"),
    *("Cat", "Stack", "Split", "SplitWithSizes", "UnsafeSplit", "Unbind", "Index", "IndexSelect"),
    *("Roll", "ConstantPadNd", "AvgPool2D", "AvgPool3D", "AdaptiveAvgPool2D", "AdaptiveAvgPool3D"),
    "BackwardHookFunction",
}
GATED = "a product of two streams"
RENAMING = ("BackwardHookFunction", "Alias", "View", "UnsafeView", "Clone", "ToCopy")
MATRIX = "W"


@final
@dataclass(frozen=True, kw_only=True)
class Passed:
    """What a stream passes: its bends, how many norms over the batch, and which other norms.

    ``order`` names all of it in the order in which it is passed, with W for a matrix; ``unit`` says
    whether all norms over the batch have γ = 1 and β = 0.
    """

    bends: tuple[str, ...]
    batch_norms: int
    other_norms: tuple[str, ...]
    order: tuple[str, ...]
    unit: bool


def passed(end: Point, start: Point) -> Passed:
    """Name what stands on the paths from ``start`` to ``end``, each node of the graph once."""
    nodes = nodes_between(end, start)
    norms = [name for name in map(_norm, nodes) if name]
    bends = [_bend(node, nodes, start) for node in nodes]
    order = [_norm(n) or bend or _matrix(n) for n, bend in zip(nodes, bends, strict=True)]
    return Passed(
        bends=tuple(name for name in bends if name),
        batch_norms=sum("BatchNorm" in name for name in norms),
        other_norms=tuple(name for name in norms if name != "BatchNorm"),
        order=tuple(name for name in order if name),
        unit=all(map(_is_unit, nodes)),
    )


def same_stream(end: Point | None, start: Point) -> bool:
    """Whether ``end`` is ``start`` under another name."""
    if end is None or end.shape != start.shape:
        return False
    if end.key == start.key:
        return True
    nodes = nodes_between(end, start)
    return bool(nodes) and all(operation(node) in RENAMING for node in nodes)


def factor_behind(end: Point, start: Point) -> tuple[float, str]:
    """Give E α² of the factors that stand last on the way to ``end``, and what stands before them.

    Constants that are added there are passed too.
    """
    nodes = nodes_between(end, start)
    scale = 1.0
    node: Any = end.edge.node
    while operation(node) in ("Mul", "Add", *RENAMING):
        inner = [
            n
            for n, (child, number) in enumerate(node.next_functions)
            if (child, number) == start.key or child in nodes
        ]
        if len(inner) != 1:
            break
        if operation(node) == "Mul":
            other = node._saved_other if inner[0] == 0 else node._saved_self
            scale *= float(other.detach().double().square().mean())
        node = node.next_functions[inner[0]][0]
    return scale, operation(node)


def tap_shares(end: Point, start: Point) -> dict[int, Tensor]:
    """Give f of every tap of the convolutions between two points, by the identity of the weight.

    f is the share of positions of the output at which the tap does not meet padding.
    """
    found = {}
    for node in nodes_between(end, start):
        if operation(node) != "Convolution" or node._saved_transposed:
            continue
        weight = node.next_functions[1][0]
        if weight is not None and weight.name().endswith("AccumulateGrad"):
            found[id(weight.variable)] = _tap_shares(node, weight.variable.shape[2:])
    return found


def _tap_shares(node: Any, kernel: Iterable[int]) -> Tensor:
    shares = torch.ones((), dtype=torch.float64)
    places = (node._saved_input.shape[2:], kernel)
    moves = (node._saved_stride, node._saved_padding, node._saved_dilation)
    for size, taps, stride, padding, dilation in zip(*places, *moves, strict=True):
        reach = dilation * (taps - 1)
        starts = torch.arange(-padding, size + padding - reach, stride)
        read = starts[:, None] + dilation * torch.arange(taps)
        shares = shares[..., None] * ((read >= 0) & (read < size)).double().mean(0)
    return shares


def channel_axis(end: Point, start: Point) -> int | None:
    """Give the axis of the channels of a stream: that which its first reader takes them from.

    Convolutions, BatchNorm and GroupNorm read them second, linear maps and LayerNorm last; axes
    that are exchanged before are followed. None where no such operation reads the stream.
    """
    axes = list(range(len(start.shape)))
    for node in nodes_between(end, start):
        name = operation(node)
        if name in ("Transpose", "Permute"):
            axes = _turned(axes, node)
        elif "Convolution" in name or "BatchNorm" in name or name == "NativeGroupNorm":
            return axes[1]
        elif name in MATRICES or name in ("NativeLayerNorm", "FusedRmsNorm"):
            return axes[-1]
    return None


def operation(node: Any) -> str:
    """Give the name of a node without what all names share: ``Relu`` for ``ReluBackward0``."""
    return re.sub(r"Backward\d*$", "", node.name()).rpartition("::")[2]


def strangers(known: Iterable[str], found: Iterable[str]) -> str:
    """Say what a theory does not know, as the end of its condition; nothing if it knows all.

    >>> strangers(["ReLU"], ["ReLU", "ELU", "ELU"])
    '; here there is ELU'
    """
    names = [name for name in dict.fromkeys(found) if name not in set(known)]
    return f"; here there is {', '.join(names)}" if names else ""


def _norm(node: Any) -> str:
    name = operation(node)
    if "BatchNorm" not in name:
        return NORMS.get(name, "")
    if not node._saved_training:
        return "BatchNorm in evaluation mode"
    # InstanceNorm is computed as a BatchNorm of one example with all channels of all examples.
    return "InstanceNorm" if node._saved_input.shape[0] == 1 else "BatchNorm"


def _is_unit(node: Any) -> bool:
    """Whether a node is no norm over the batch, or has γ = 1 and β = 0."""
    if _norm(node) != "BatchNorm":
        return True
    scale, shift = (child for child, _ in node.next_functions[1:3])
    return _is_all(scale, 1.0) and _is_all(shift, 0.0)


def _is_all(leaf: Any, value: float) -> bool:
    """Whether a parameter is everywhere this value; none at all is."""
    if leaf is None:
        return True
    if not leaf.name().endswith("AccumulateGrad"):
        return False
    return bool((leaf.variable == value).all())


def _matrix(node: Any) -> str:
    name = operation(node)
    return MATRIX if name in MATRICES or "Convolution" in name else ""


def _bend(node: Any, nodes: Sequence[Any], start: Point) -> str:
    name = operation(node)
    if name in MULTIPLYING:
        return GATED if _streams_into(node, nodes, start) > 1 else ""
    if name in LINEAR or name in NORMS or "BatchNorm" in name or "Convolution" in name:
        return ""
    return BENDS.get(name, name)


def _streams_into(node: Any, nodes: Sequence[Any], start: Point) -> int:
    return sum(
        (child, number) == start.key or child in nodes for child, number in node.next_functions
    )


def _turned(axes: list[int], node: Any) -> list[int]:
    """Follow the axes through an exchange; one of another number of axes is not followed."""
    count = len(axes)
    if operation(node) == "Permute":
        order = [_signed(axis) for axis in node._saved_dims]
        return [axes[axis] for axis in order] if len(order) == count else axes
    one, two = _signed(node._saved_dim0), _signed(node._saved_dim1)
    if not all(-count <= axis < count for axis in (one, two)):
        return axes
    turned = list(axes)
    turned[one], turned[two] = axes[two], axes[one]
    return turned


def _signed(axis: int) -> int:
    """Read an axis that the graph keeps as an unsigned number: −1 as 2⁶⁴ − 1."""
    return axis - 2**64 if axis >= 2**63 else axis
