"""What is examined: a model with its data, cut to sizes that fit into the time there is.

Every measurement needs so many examples and so many passes over them. What one pass costs is timed
once, and each is then given a power of two of examples that fits into its share of the time, so
that a small network is measured on all that is asked for and a large one on less.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from skipwise.analysis import Rule, Sites, pose
from skipwise.analysis.batches import count_examples, is_one
from skipwise.analysis.problem import BATCH_NORM, Loss, uncompiled
from skipwise.analysis.state import settled
from skipwise.analysis.weights import Weights
from skipwise.diagnosis.history import History
from skipwise.randomness import seeded

Pair = tuple[Any, Any]
EXAMPLES = 1024  # a unit that is silent on so many fires for less than 0.3 % of all
LEAST = 8  # examples; a mean over fewer says little
SETTLED = 0.9  # how far running statistics must have come to be measured with


@final
@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, what it is measured on, and what a pass costs.

    Args:
        model: Any module.
        batches: Pairs (inputs, targets), of the size that is trained with.
        updated_on: Pairs as the training sees them, augmented; ``batches`` where they are the same.
        loss: ``(output, targets) → mean over the batch``.
        sites: The blocks, or None where none were found.
        optimiser: Torch's, a rule in plain numbers, or None.
        history: What the run has gone through, or None.
        validation: Pairs that take no part in training; may be empty.
        start: The weights at the start, or None.
        seconds: The time there is.
        full_batch: Whether a batch is all the data that is trained on.
        cost: Seconds of a forward and a backward pass of one example.
    """

    model: nn.Module
    batches: tuple[Pair, ...]
    updated_on: tuple[Pair, ...]
    loss: Loss | None
    sites: Sites | None
    optimiser: Optimizer | Rule | None
    history: History | None
    validation: tuple[Pair, ...]
    start: Weights | None
    seconds: float
    full_batch: bool = False
    cost: float = 0.0

    @property
    def statistics(self) -> list[nn.modules.batchnorm._BatchNorm]:
        """The norms that keep running statistics."""
        norms = [m for m in self.model.modules() if isinstance(m, BATCH_NORM)]
        return [norm for norm in norms if norm.running_mean is not None]

    @property
    def normed(self) -> bool:
        """Whether every block holds a norm of some kind."""
        return self.sites is not None and blocks_have_norms(self.model, self.sites)

    @property
    def foreign(self) -> bool:
        """Whether what it began with may have been trained elsewhere."""
        return self.history is not None and self.history.foreign

    @cached_property
    def trained(self) -> bool | None:
        """Whether the weights have been trained; None if nothing tells.

        Besides history and start, an optimiser's state tells, and so do norms: they count the
        batches that they were trained on.
        """
        if self.history is not None and self.history.steps:
            return True
        if self.start is not None and not self.foreign:
            now = self.model.named_parameters()
            return any(not torch.equal(p.detach(), self.start[n].to(p)) for n, p in now)
        if self.history is not None and not self.foreign:
            return False
        if isinstance(self.optimiser, Optimizer) and any(
            state and float(state.get("step", 1)) > 0 for state in self.optimiser.state.values()
        ):
            return True
        return True if any(norm.num_batches_tracked for norm in self.statistics) else None

    @property
    def settled(self) -> bool:
        """Whether running statistics can be measured with; so they can where there are none."""
        return all(map(_settled, self.statistics))

    def affordable(self, examples: int, *, passes: float, share: float = 0.05) -> int:
        """Give a power-of-two part of ``examples`` whose passes fit into a share of the time.

        Args:
            examples: How many are wanted.
            passes: Forward and backward passes over them.
            share: Of all the time.
        """
        while examples > LEAST and examples * passes * self.cost > share * self.seconds:
            examples //= 2
        return examples

    def some(self, examples: int) -> Pair:
        """Give the first so many examples of the first batch, or all of it."""
        return cut(self.batches[0], slice(0, examples))

    def many(self, examples: int) -> list[Pair]:
        """Give so many examples, in batches as they are; fewer where there are no more."""
        return up_to(self.batches, examples)


@seeded(0, "diagnosis")  # a loader draws from the caller's random numbers
def subject_of(
    model: nn.Module,
    batches: Any,
    *,
    updated_on: Any,
    validation: Any,
    start: Weights | None,
    **others: Any,
) -> Subject:
    """Join model and data; of a loader only so many batches are taken as are needed.

    Raises:
        TypeError: If a batch is no pair.
        ValueError: If there is no batch, or ``start`` is of another model.
    """
    pairs = taken(batches)
    if not pairs:
        raise ValueError("there is no batch to measure on; give a pair (inputs, targets) or more")
    model = uncompiled(model)
    _check_start(model, start)
    return Subject(
        model=model,
        batches=pairs,
        updated_on=pairs if updated_on is None else taken(updated_on),
        validation=() if validation is None else taken(validation),
        start=start,
        **others,
    )


def _check_start(model: nn.Module, start: Weights | None) -> None:
    """Refuse weights of another model, or of a wrapper, whose names begin otherwise.

    Raises:
        ValueError: If they are such.
    """
    if start is None:
        return
    for name, parameter in model.named_parameters():
        if name not in start:
            raise ValueError(
                f"start has no {name!r}, but {', '.join(map(repr, list(start)[:2])) or 'nothing'},"
                " so it is of another model or of a wrapper; take the weights of the module itself:"
                " skipwise.analysis.weights_of(model), before the first update"
            )
        if start[name].shape != parameter.shape:
            raise ValueError(
                f"{name} has the shape {tuple(parameter.shape)} in the model and"
                f" {tuple(start[name].shape)} in start; it is of another model"
            )


def taken(batches: Any, examples: int = EXAMPLES) -> tuple[Pair, ...]:
    """Take pairs from a pair, a list or a loader until they hold so many examples.

    Raises:
        TypeError: If one is no pair.
    """
    if not is_one(batches) and not isinstance(batches, Iterable):
        raise TypeError(
            f"batches must be a pair (inputs, targets) or several, got {type(batches).__name__}"
        )
    found, count = [], 0
    for batch in [batches] if is_one(batches) else batches:
        posed = pose(nn.Identity(), batch)  # checks that it is a pair
        found.append((posed.inputs, posed.targets))
        count += size_of(found[-1])
        if count >= examples:
            break
    return tuple(found)


def size_of(pair: Pair) -> int:
    """Count the examples of a batch."""
    return count_examples(*pair)


def cut(pair: Pair, run: slice) -> Pair:
    """Give some examples of a batch, which stand together."""
    count = size_of(pair)
    return _cut(pair[0], run, count), _cut(pair[1], run, count)


def up_to(pairs: Sequence[Pair], examples: int) -> list[Pair]:
    """Give the first so many examples of several batches, the last of them cut."""
    found: list[Pair] = []
    for pair in pairs:
        if examples <= 0:
            break
        found.append(cut(pair, slice(0, examples)))
        examples -= size_of(pair)
    return found


def equal(pairs: Sequence[Pair], *, size: int, count: int) -> list[Pair]:
    """Cut batches into up to ``count`` of ``size`` examples each."""
    return list(islice(_pieces(pairs, size), count))


def _pieces(pairs: Sequence[Pair], size: int) -> Iterator[Pair]:
    for pair in pairs:
        for start in range(0, size_of(pair) - size + 1, size):
            yield cut(pair, slice(start, start + size))


def _cut(value: Any, run: slice, count: int) -> Any:
    if isinstance(value, Tensor):
        return value[run] if value.dim() and len(value) == count else value
    if isinstance(value, Mapping):
        return {name: _cut(inner, run, count) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return tuple(_cut(inner, run, count) for inner in value)
    return value


def blocks_have_norms(model: nn.Module, sites: Sites) -> bool:
    """Whether every block holds a norm of some kind."""
    return bool(sites.names) and all(map(_holds_norm, map(model.get_submodule, sites.names)))


def _holds_norm(block: nn.Module) -> bool:
    """Whether one is among its parts; norms of others' own are known by their names."""
    return any("norm" in type(part).__name__.lower() for part in block.modules())


def _settled(norm: nn.modules.batchnorm._BatchNorm) -> bool:
    steps = 0 if norm.num_batches_tracked is None else int(norm.num_batches_tracked)
    momentum = norm.momentum
    return steps > 0 if momentum is None else settled(momentum, steps) > SETTLED
