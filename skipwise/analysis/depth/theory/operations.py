"""What stands between two points of a graph, in the words of theory: bends, norms, the rest linear.

Theory knows few operations. Whatever is not known to be linear counts as a bend under its own name,
so that no theory of other networks is held against this one.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

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


@final
@dataclass(frozen=True, kw_only=True)
class Passed:
    """What a stream passes: its bends, how many norms over the batch, and which other norms."""

    bends: tuple[str, ...]
    batch_norms: int
    other_norms: tuple[str, ...]


def passed(end: Point, start: Point) -> Passed:
    """Name what stands on the paths from ``start`` to ``end``, each node of the graph once."""
    nodes = nodes_between(end, start)
    norms = [name for name in map(_norm, nodes) if name]
    return Passed(
        bends=tuple(name for name in (_bend(node, nodes, start) for node in nodes) if name),
        batch_norms=sum("BatchNorm" in name for name in norms),
        other_norms=tuple(name for name in norms if name != "BatchNorm"),
    )


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
