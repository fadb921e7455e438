"""How big a network is, stage by stage: parameters, multiply-adds, memory for the backward pass.

Nothing is computed with numbers: the network runs once on the meta device, so a network of any size
is measured in the time that Python needs to walk through it.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from skipwise.description import Call
from skipwise.layers import CONVOLUTIONS
from skipwise.networks.network import Network, NetworkDescription, build_network
from skipwise.networks.objective import FullyConvolutional, Outermost
from skipwise.networks.trunk import Block
from skipwise.shapes import Ends

CLASSES = 10
EXAMPLES = 2  # BatchNorm refuses a single value per channel in training


@dataclass(kw_only=True)
class Row:
    """One part of a network, for one example.

    Args:
        name: Stem, stage or head; for other modules the child's name.
        shape: Of its output, without the batch.
        parameters: Trainable numbers.
        macs: Multiply-adds of convolutions and linear maps in one forward pass.
        memory_bytes: What autograd keeps for the backward pass, in float32, parameters not counted.
    """

    name: str
    shape: tuple[int, ...] = ()
    parameters: int = 0
    macs: int = 0
    memory_bytes: int = 0


@dataclass(kw_only=True)
class Size:
    """The rows of a network, and their sums."""

    rows: list[Row] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """All trainable numbers."""
        return sum(row.parameters for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-adds of one forward pass of one example."""
        return sum(row.macs for row in self.rows)

    @property
    def memory_bytes(self) -> int:
        """What the backward pass of one example holds, in float32."""
        return sum(row.memory_bytes for row in self.rows)


def measure_size(
    network: nn.Module | NetworkDescription | Call,
    inputs: tuple[int, ...],
    *,
    classes: int | None = None,
) -> Size:
    """Measure a network on one example of shape ``inputs``.

    Args:
        network: A description, which is built for these inputs, or any module; it is copied, not
            touched.
        inputs: Shape of one example, without the batch.
        classes: Outputs of what a description builds; 10 if None. One that maps examples to
            examples has the shape of its inputs.

    Returns:
        One row per stage for our networks, per child for others.

    Raises:
        TypeError: If the network or the shape is none, or ``classes`` has no effect.
        ValueError: If the network cannot be built for such examples, or does not run on them.
    """
    twin = _twin(network, inputs, classes).to("meta").train()
    parts = list(_parts(twin))
    rows = [Row(name=name) for name, _ in parts]
    owned = {
        id(p): row
        for row, (_, modules) in zip(rows, parts, strict=True)
        for m in modules
        for p in m.parameters()
    }
    rest = Row(name="other")
    for parameter in twin.parameters():
        if parameter.requires_grad:
            owned.get(id(parameter), rest).parameters += parameter.numel()
    try:
        _run(twin, parts, rows, rest, torch.empty((EXAMPLES, *inputs), device="meta"))
    except Exception as error:  # anything may be raised by a user's code
        raise ValueError(
            f"{type(twin).__name__} does not run on examples of shape {tuple(inputs)}, so give the"
            f" shape of one that it reads, without the batch: {error}"
        ) from error
    return Size(rows=[*rows, rest] if rest.parameters or rest.macs or rest.memory_bytes else rows)


def _twin(network: Any, inputs: Any, classes: int | None) -> nn.Module:
    is_shape = isinstance(inputs, tuple | list) and all(isinstance(n, Integral) for n in inputs)
    if not is_shape or any(n < 1 for n in inputs):
        raise TypeError(
            "inputs is the shape of one example, without the batch, (3, 32, 32) for example; got"
            f" {inputs!r}"
        )
    if isinstance(network, nn.Module):
        if classes is not None:
            raise TypeError(
                "classes has no effect on a module, which has its outputs; leave it out"
            )
        return copy.deepcopy(network)
    if not isinstance(network, NetworkDescription | Call):
        raise TypeError(
            "network must be a description, skipwise.resnet20() for example, or a module; got"
            f" {type(network).__name__}"
        )
    shape = tuple(inputs)
    same = isinstance(network, Outermost | FullyConvolutional)
    if same and classes is not None:
        raise TypeError(f"classes has no effect on {network.name}, whose outputs are as its inputs")
    outputs = shape if same else (CLASSES if classes is None else classes,)
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return build_network(network, Ends(inputs=shape, outputs=outputs))


def _parts(network: nn.Module) -> Iterator[tuple[str, list[nn.Module]]]:
    if not isinstance(network, Network):
        yield from ((name, [child]) for name, child in network.named_children())
        return
    yield "stem", [network.stem]
    blocks = [block for block in network.trunk.blocks if isinstance(block, Block)]
    for stage, (_, group) in enumerate(
        groupby(blocks, key=lambda block: block.place.width_out), start=1
    ):
        group = list(group)
        yield f"stage {stage} ({len(group)} blocks)", [*group]
    yield "head", [network.trunk.norm, network.head]


def _run(
    twin: nn.Module, parts: list[tuple[str, list[nn.Module]]], rows: list[Row], rest: Row, x: Tensor
) -> None:
    row_of = {
        id(m): row
        for row, (_, modules) in zip(rows, parts, strict=True)
        for part in modules
        for m in part.modules()
    }
    current = [rest]
    seen = {p.untyped_storage()._cdata for p in twin.parameters()}

    def enter(module: nn.Module, _) -> None:
        current.append(row_of.get(id(module), current[-1]))

    def leave(module: nn.Module, _, output) -> None:
        row = current.pop()
        row.macs += _macs(module, output)
        if isinstance(output, Tensor) and any(module is m for _, modules in parts for m in modules):
            row.shape = tuple(output.shape[1:])

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in seen:
            seen.add(storage._cdata)
            alive.append(tensor)  # a freed storage's address could be given to the next one
            current[-1].memory_bytes += storage.nbytes() // EXAMPLES
        return tensor

    alive: list[Tensor] = []
    handles = [
        h
        for m in twin.modules()
        for h in (m.register_forward_pre_hook(enter), m.register_forward_hook(leave))
    ]
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        twin(x)
    for handle in handles:
        handle.remove()


def _macs(module: nn.Module, output: Tensor) -> int:
    if isinstance(module, CONVOLUTIONS):
        return math.prod(output.shape[1:]) * math.prod(module.weight.shape[1:])
    if isinstance(module, nn.Linear):
        return math.prod(output.shape[1:]) * module.in_features
    return 0
