"""Points in the graph that a forward pass leaves, and products with the Jacobians between them.

A point is held by its edge in the graph and not by its tensor, so an operation in place that comes
later (``ReLU(inplace=True)``, ``+=``) does not move it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from skipwise.shapes import AnyStream

ONCE = "the model holds an operation without a second derivative, which this measurement needs"
PLAIN = "replace it by one made of plain operations"


@final
@dataclass(frozen=True, kw_only=True)
class Point:
    """Where a tensor stands in the graph, and what its gradient looks like."""

    edge: GradientEdge
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    @property
    def key(self) -> tuple[Any, int]:
        """The node and the number of its output: equal for two names of one tensor."""
        return self.edge.node, self.edge.output_nr

    def zeros(self) -> Tensor:
        """Give zeros of the point's shape."""
        return torch.zeros(self.shape, dtype=self.dtype, device=self.device)


def point_of(tensor: Tensor) -> Point | None:
    """Give the point where a tensor stands now, or None if no gradient passes it."""
    if not tensor.requires_grad:
        return None
    return Point(
        edge=get_gradient_edge(tensor),
        shape=tensor.shape,
        dtype=tensor.dtype,
        device=tensor.device,
    )


def pulled_back(
    vector: AnyStream, end: Point | None, start: Point, *, differentiable: bool = False
) -> AnyStream:
    """Give ``Jᵀ·v`` for the Jacobian J of the point ``end`` by the point ``start``.

    Args:
        vector: v, of the shape of ``end``.
        end: None stands for a constant, which has no gradient.
        start: Any point; where ``end`` does not depend on it the product is zero.
        differentiable: Whether the product can be differentiated in its turn.
    """
    if end is None:
        return start.zeros()
    if end.key == start.key:
        return vector
    (found,) = torch.autograd.grad(
        [end.edge],
        [start.edge],
        grad_outputs=[vector],
        retain_graph=True,
        create_graph=differentiable,
        allow_unused=True,
    )
    return start.zeros() if found is None else found


def pushed_forward(vector: AnyStream, start: Point, end: Point) -> AnyStream:
    """Give ``J·w`` for the Jacobian J of ``end`` by ``start``.

    ``u ↦ Jᵀ·u`` is linear, and the transpose of its own Jacobian is J: so ``J·w`` is the gradient
    of ``⟨Jᵀ·u, w⟩`` by u. It needs no rule for forward differentiation, and so works where the
    model's operations have a second derivative.

    Source: the "double-backward trick", Townsend (2017), "A new trick for calculating Jacobian
    vector products".
    """
    if end.key == start.key:
        return vector
    probe = end.zeros().requires_grad_()
    pulled = pulled_back(probe, end, start, differentiable=True)
    if not pulled.requires_grad:
        return end.zeros()
    (found,) = derived_again([pulled], [probe], [vector])
    return end.zeros() if found is None else found


def derived_again(
    gradients: Sequence[Tensor], inputs: Sequence[Tensor], vectors: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """Give the derivative of gradients, which were computed with a graph of their own.

    Args:
        gradients: What is derived.
        inputs: By what.
        vectors: One for each gradient, of its shape.

    Returns:
        One tensor for each input, or None where nothing depends on it.

    Raises:
        ValueError: If an operation in the graph cannot be differentiated twice.
        RuntimeError: If torch fails for another reason.
    """
    # Such an operation may have cut the graph, and then its part would be missing without a word.
    if any(name.endswith("::Error") for name in _names_behind(gradients)):
        raise ValueError(f"{ONCE}; {PLAIN}")
    try:
        return torch.autograd.grad(gradients, inputs, vectors, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        said = str(error).splitlines()[0]
        if not any(words in said for words in ("not implemented", "once_differentiable")):
            raise
        raise ValueError(f"{ONCE} ({said}); {PLAIN}") from error


def _names_behind(tensors: Sequence[Tensor]) -> Iterator[str]:
    """Name all nodes of the graph that tensors come from."""
    stack = [tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]
    seen = set(stack)
    while stack:
        node = stack.pop()
        yield node.name()
        fresh = {child for child, _ in node.next_functions if child and child not in seen}
        seen |= fresh
        stack += fresh


@final
@dataclass(frozen=True, kw_only=True)
class Way:
    """How one point depends on another: not at all, through weights, or past all weights."""

    reaches: bool
    past_weights: bool


def way_between(end: Point, start: Point) -> Way:
    """Say whether ``end`` depends on ``start``, and whether some path meets no matrix of weights.

    A path meets weights at a node that joins it with a parameter of two axes or more, as every
    convolution and linear map does; sums do not count. A path past all weights is what an identity,
    an activation or a norm leaves.
    """
    if end.key == start.key:
        return Way(reaches=True, past_weights=True)
    ways: dict[Any, tuple[bool, bool, bool]] = {}  # reaches the start; past weights; has weights
    stack = [end.edge.node]
    while stack:
        node = stack[-1]
        inner = [
            child for child, number in node.next_functions if child and (child, number) != start.key
        ]
        waiting = [child for child in inner if child not in ways]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        ways[node] = _way_of(node, ways, start)
    reaches, past, _ = ways[end.edge.node]
    return Way(reaches=reaches, past_weights=past)


def _way_of(
    node: Any, ways: dict[Any, tuple[bool, bool, bool]], start: Point
) -> tuple[bool, bool, bool]:
    edges = [
        (True, True, False) if (child, number) == start.key else ways[child]
        for child, number in node.next_functions
        if child
    ]
    reaches = any(edge[0] for edge in edges)
    weights = any(edge[2] for edge in edges) or _is_matrix(node)
    meets = reaches and any(edge[2] and not edge[0] for edge in edges)
    sums = node.name().startswith("AddBackward")
    return reaches, any(edge[1] for edge in edges) and (sums or not meets), weights


def _is_matrix(node: Any) -> bool:
    """Whether the node hands a gradient to a matrix; (C, 1, 1) scales channels and is none."""
    if not node.name().endswith("AccumulateGrad"):
        return False
    shape = node.variable.shape
    return len(shape) == 2 or sum(size > 1 for size in shape) >= 2


def nodes_between(end: Point, start: Point) -> list[Any]:
    """List the nodes on all paths from ``start`` to ``end``, each once and after what it reads."""
    reaches: dict[Any, bool] = {}
    stack = [end.edge.node]
    while stack:
        node = stack[-1]
        edges = [(child, number) for child, number in node.next_functions if child]
        waiting = [c for c, number in edges if (c, number) != start.key and c not in reaches]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        reaches[node] = any((c, n) == start.key or reaches[c] for c, n in edges)
    if end.key == start.key:
        return []
    return [node for node, reached in reaches.items() if reached]
