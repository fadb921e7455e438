"""The loss on some batches as a function of one flat vector of parameters, and its gradient.

The mode is part of the question: in training mode BatchNorm normalises by the batch, and that is
the loss whose curvature the optimiser meets. Random layers draw the same numbers every time.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from skipwise.analysis.batches import examples_of, posed
from skipwise.analysis.curvature.norms import LeanBatchNorm
from skipwise.analysis.problem import Loss, Problem
from skipwise.analysis.spectra.operator import Flat
from skipwise.randomness import seeded
from skipwise.shapes import Scalar


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Batches with the parameters that learn; lives as long as :func:`objective` holds the model.

    Args:
        problems: One a batch.
        parameters: By name, in the order of the flat vector.
        counts: The examples of each batch; it counts by them.
        seed: Of random layers.
    """

    problems: tuple[Problem, ...]
    parameters: Mapping[str, nn.Parameter]
    counts: tuple[int, ...]
    seed: int

    @property
    def shares(self) -> tuple[float, ...]:
        """How much each batch counts: its part of all examples."""
        return tuple(count / sum(self.counts) for count in self.counts)

    @property
    def tensors(self) -> tuple[nn.Parameter, ...]:
        """The parameters."""
        return tuple(self.parameters.values())

    @property
    def dtype(self) -> torch.dtype:
        """What a flat vector holds: single precision at least."""
        found = torch.float32
        for parameter in self.tensors:
            found = torch.promote_types(found, parameter.dtype)
        return found

    def flat(self, tensors: Iterable[Tensor]) -> Flat:
        """Join one tensor for each parameter."""
        return torch.cat([tensor.detach().reshape(-1).to(self.dtype) for tensor in tensors])

    def parts(self, vector: Flat) -> list[Tensor]:
        """Cut a flat vector into one tensor for each parameter."""
        pieces = vector.split([parameter.numel() for parameter in self.tensors])
        pairs = zip(pieces, self.tensors, strict=True)
        return [piece.view(parameter.shape).to(parameter.dtype) for piece, parameter in pairs]

    def value(self, index: int) -> Scalar:
        """Compute the loss of one batch, with a graph that can be differentiated twice."""
        model = self.problems[index].model
        recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
        with ExitStack() as stack:
            stack.enter_context(seeded(self.seed, "objective", index))
            # The quick kernels of attention and recurrence have no second derivative.
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            stack.enter_context(LeanBatchNorm())
            if recurrent:
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            return self.problems[index].value()

    def loss(self) -> float:
        """Compute the mean loss over all batches."""
        with torch.no_grad():
            values = [self._plain(index) for index in range(len(self.problems))]
        return sum(share * value for share, value in zip(self.shares, values, strict=True))

    def gradient(self, index: int) -> Flat:
        """Compute the gradient of one batch's loss; 0 for a parameter that it does not use."""
        gradients = torch.autograd.grad(
            self.value(index), self.tensors, allow_unused=True, materialize_grads=True
        )
        return self.flat(gradients)

    def mean_gradient(self) -> Flat:
        """Compute the gradient of the mean loss."""
        total = self.shares[0] * self.gradient(0)
        for index, share in enumerate(self.shares[1:], 1):
            total += share * self.gradient(index)
        return total

    def _plain(self, index: int) -> float:
        with seeded(self.seed, "objective", index):
            return self.problems[index].number().item()


@contextmanager
def objective(
    model: nn.Module,
    batches: Any,
    loss: Loss | None = None,
    *,
    of: str = "*",
    training: bool = True,
    weights: bool = False,
    seed: int = 0,
) -> Iterator[Objective]:
    """Hold a model in one mode and give its loss on the batches; puts everything back at the end.

    Args:
        model: Any module.
        batches: A pair (inputs, targets), or a list or an iterable of such pairs.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        of: A pattern of the names of parameters, ``*`` for anything: others count as constants.
        training: Whether in training mode. A model that is in training mode already keeps the modes
            of its parts, so that frozen parts stay frozen.
        weights: Whether the weights will be moved, and must be put back.
        seed: Of random layers.

    Raises:
        ValueError: If no parameter learns or fits the pattern, or see :func:`posed`.
    """
    with posed(model, batches, loss, training=training, weights=weights, seed=seed) as problems:
        yield Objective(
            problems=problems,
            parameters=_learning(problems[0].model, of),
            counts=tuple(map(examples_of, problems)),
            seed=seed,
        )


def _learning(model: nn.Module, of: str) -> dict[str, nn.Parameter]:
    every = {n: p for n, p in model.named_parameters() if p.requires_grad and p.numel()}
    if not every:
        raise ValueError(
            f"{type(model).__name__} has no parameters that learn; set requires_grad_(True) on"
            " those whose curvature is wanted"
        )
    found = {name: parameter for name, parameter in every.items() if fnmatchcase(name, of)}
    if not found:
        raise ValueError(
            f"no parameter that learns fits {of!r}; there are {', '.join(list(every)[:6])}, …"
        )
    return found
