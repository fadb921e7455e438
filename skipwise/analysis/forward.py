"""One forward pass of any model, watched: where its blocks begin and end, and which sums join them.

The model computes what it always computes, in place or not. Hooks note the points of the graph at
which a block's stream enters and leaves, and every ``a + b`` within a block notes its two summands:
where the stream forks and meets again is then read off the graph.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from skipwise.analysis.graph import Point, point_of
from skipwise.analysis.problem import Problem
from skipwise.analysis.reasons import Unmeasurable
from skipwise.analysis.sites import Site, Sites
from skipwise.shapes import AnyStream, Scalar

ADDITIONS = {
    torch.add,
    Tensor.add,
    Tensor.add_,
    Tensor.__add__,
    Tensor.__radd__,
    Tensor.__iadd__,
}


@final
@dataclass(frozen=True, kw_only=True)
class Sum:
    """``result = left + right`` within a block; None where no gradient passes a summand.

    ``moments`` are the means of left², right² and left·right, where a pass looks at its streams.
    """

    left: Point | None
    right: Point | None
    result: Point
    moments: tuple[float, float, float] | None = None


@final
@dataclass(kw_only=True)
class Visit:
    """One call of a block: the points where the stream enters and leaves, and what lies between.

    ``parts`` holds the outputs of its branch and of its shortcut, where these have names.
    ``entering`` and ``leaving`` hold what ``look`` made of the streams.
    """

    site: Site
    module: nn.Module
    start: Point
    end: Point
    sums: list[Sum] = field(default_factory=list)
    parts: dict[str, Point | None] = field(default_factory=dict)
    entering: Any = None
    leaving: Any = None

    @property
    def keeps_shape(self) -> bool:
        """Whether the stream leaves in the shape in which it entered."""
        return self.start.shape == self.end.shape


@final
@dataclass(frozen=True, kw_only=True)
class Pass:
    """What a watched pass left: the loss with its graph, the visits in order, where the input is.

    ``inputs`` is None where the input is no floating-point tensor, as for tokens.
    """

    loss: Scalar
    visits: tuple[Visit, ...]
    inputs: Point | None


@contextmanager
def mathematical() -> Iterator[None]:
    """Compute attention by its formula: the fused kernels have no second derivative."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


def watched_pass(
    problem: Problem, sites: Sites, look: Callable[[AnyStream], Any] | None = None
) -> Pass:
    """Compute the loss once and note the points; to be called inside ``untouched``.

    Args:
        problem: Model, batch, loss.
        sites: The blocks.
        look: What to keep of the stream at the ends of every block, computed without gradient.

    Raises:
        ValueError: If no block is computed, or a block gives no tensor that gradients pass.
    """
    for parameter in problem.model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    inputs = {name: opened(value) for name, value in problem.arguments().items()}
    watcher = _Watcher(look)
    with ExitStack() as stack:
        modules = dict(problem.model.named_modules())
        for site in sites.blocks:
            stack.enter_context(_visited(watcher, modules, site))
        stack.enter_context(mathematical())
        stack.enter_context(watcher)
        loss = problem.value(inputs)
    if not watcher.visits:
        raise ValueError(
            f"the model computes none of the blocks {', '.join(sites.names[:3])}; name others"
        )
    points = [point_of(value) for value in inputs.values() if isinstance(value, Tensor)]
    return Pass(loss=loss, visits=tuple(watcher.visits), inputs=next(filter(None, points), None))


def first_tensor(value: Any) -> AnyStream | None:
    """Find the stream in what a module takes or gives: the first tensor of numbers with fractions.

    Modules may give a tuple or a mapping, as transformers do.
    """
    if isinstance(value, Tensor):
        return value if value.is_floating_point() else None
    inner = value.values() if isinstance(value, Mapping) else value
    if isinstance(inner, tuple | list) or isinstance(value, Mapping):
        return next((t for t in map(first_tensor, inner) if t is not None), None)
    return None


def with_first_tensor(value: Any, tensor: AnyStream) -> Any:
    """Give the same arguments with another tensor for the first."""
    if isinstance(value, Tensor):
        return tensor
    if isinstance(value, Mapping):
        name = next(n for n, v in value.items() if first_tensor(v) is not None)
        return {**value, name: with_first_tensor(value[name], tensor)}
    number = next(n for n, v in enumerate(value) if first_tensor(v) is not None)
    return (*value[:number], with_first_tensor(value[number], tensor), *value[number + 1 :])


def opened(value: Any) -> Any:
    """Let gradients reach an input; the copy may be changed in place, which a leaf may not."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    return value.detach().requires_grad_().clone()


@final
class _Watcher(TorchFunctionMode):
    """Notes visits, and the sums of two tensors of one shape in the block at hand.

    Args:
        look: What to keep of the stream at the ends of blocks, or None.
    """

    def __init__(self, look: Callable[[AnyStream], Any] | None):
        super().__init__()
        self.look = look
        self.visits: list[Visit] = []
        self.block: Visit | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.block is None or not is_addition(func, args, kwargs):
            return func(*args, **(kwargs or {}))
        left, right = point_of(args[0]), point_of(args[1])  # before, for it may be in place
        moments = None if self.look is None else _moments(args[0], args[1])
        result = func(*args)
        point = point_of(result)
        if point is not None:
            self.block.sums.append(Sum(left=left, right=right, result=point, moments=moments))
        return result

    def enter(self, site: Site, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """Open a visit; gradients must be able to reach the stream.

        Raises:
            Unmeasurable: If the block reads no stream.
        """
        named = first_tensor(args) is None
        holder = kwargs if named else args
        stream = first_tensor(holder)
        if stream is None:
            raise Unmeasurable(
                f"{site.name} reads no tensor that gradients pass; name other blocks, or give"
                " inputs that are no whole numbers: inputs.float()"
            )
        reached = stream if stream.requires_grad else opened(stream)
        point = point_of(reached)
        assert point is not None
        self.block = Visit(site=site, module=module, start=point, end=point)
        self.block.entering = self.look(reached.detach()) if self.look else None
        holder = with_first_tensor(holder, reached)
        return (args, holder) if named else (holder, kwargs)

    def leave(self, site: Site, output: Any) -> None:
        """Close the visit.

        Raises:
            Unmeasurable: If the block gives no stream.
        """
        visit, self.block = self.block, None
        stream = first_tensor(output)
        point = None if stream is None else point_of(stream)
        if visit is None or stream is None or point is None:
            raise Unmeasurable(
                f"{site.name} gives no tensor that gradients pass; name other blocks"
            )
        visit.end = point
        visit.leaving = self.look(stream.detach()) if self.look else None
        self.visits.append(visit)

    def note(self, part: str, output: Any) -> None:
        """Note what a part of the block at hand gave."""
        stream = first_tensor(output)
        if self.block is not None and stream is not None:
            self.block.parts[part] = point_of(stream)


def _moments(left: AnyStream, right: AnyStream) -> tuple[float, float, float]:
    first, second = left.detach().double(), right.detach().double()
    squares = float(first.square().mean()), float(second.square().mean())
    return (*squares, float((first * second).mean()))


def is_addition(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether a call of torch adds two tensors of numbers of one shape."""
    return (
        func in ADDITIONS
        and len(args) == 2
        and not kwargs
        and all(isinstance(a, Tensor) and a.is_floating_point() for a in args)
        and args[0].shape == args[1].shape
    )


@contextmanager
def _visited(watcher: _Watcher, modules: Mapping[str, nn.Module], site: Site) -> Iterator[None]:
    """Note every call of one block, with hooks that are gone at the end."""

    def enter(module: nn.Module, args: Any, kwargs: Any) -> Any:
        return watcher.enter(site, module, args, kwargs)

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        watcher.leave(site, output)

    handles = [
        modules[site.name].register_forward_pre_hook(enter, with_kwargs=True),
        modules[site.name].register_forward_hook(leave),
    ]
    for part, name in (("branch", site.branch), ("shortcut", site.shortcut)):
        if name is not None:
            hook = partial(_note, watcher, part)
            handles.append(modules[name].register_forward_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _note(watcher: _Watcher, part: str, module: nn.Module, args: Any, output: Any) -> None:
    watcher.note(part, output)
