"""Several batches to measure on, and the mode in which the model is held meanwhile."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from skipwise.analysis.problem import Loss, Problem, as_module, pose
from skipwise.analysis.untouched import untouched


@contextmanager
def posed(
    model: nn.Module,
    batches: Any,
    loss: Loss | None = None,
    *,
    training: bool,
    weights: bool = False,
    seed: int = 0,
) -> Iterator[tuple[Problem, ...]]:
    """Hold a model in one mode and give one problem a batch; puts everything back at the end.

    Args:
        model: Any module.
        batches: A pair (inputs, targets), or a list or an iterable of such pairs.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        training: Whether in training mode. A model that is in training mode already keeps the modes
            of its parts, so that frozen parts stay frozen.
        weights: Whether the weights will be moved, and must be put back.
        seed: Of random layers.

    Raises:
        TypeError: If the model is no module or a batch no pair.
        ValueError: If weights are not finite, there is no batch, or it is one example for a
            BatchNorm in training mode.
    """
    with untouched(as_module(model), weights=weights, seed=seed):
        if not (training and model.training):
            model.train(training)
        yield tuple(pose(model, batch, loss) for batch in batches_of(batches))


def batches_of(batches: Any) -> Sequence[Any]:
    """Tell one batch from several: a tuple is one, and a list that begins with a tensor.

    Raises:
        ValueError: If there is none.
    """
    if is_one(batches):
        return [batches]
    found = list(batches)
    if not found:
        raise ValueError("there is no batch to measure on; give a pair (inputs, targets) or more")
    return found


def is_one(batches: Any) -> bool:
    """Whether this is one batch, not several: a tuple, or a list that begins with a tensor."""
    if isinstance(batches, tuple) or "inputs" in getattr(batches, "__dict__", {}):
        return True
    return isinstance(batches, list) and bool(batches) and isinstance(batches[0], Tensor)


def examples_of(problem: Problem) -> int:
    """Count the examples of a batch: the length of its targets, or of its first input."""
    return count_examples(problem.inputs, problem.targets)


def count_examples(inputs: Any, targets: Any) -> int:
    """Count examples: the length of the targets, or of the first input; 1 without any tensor."""
    values = inputs.values() if isinstance(inputs, Mapping) else [inputs]
    if isinstance(inputs, tuple):
        values = inputs
    tensors = [v for v in (targets, *values) if isinstance(v, Tensor) and v.dim()]
    return len(tensors[0]) if tensors else 1
