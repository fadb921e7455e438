"""The Hessian of the loss, known by its products with vectors.

``H·v = ∂/∂θ (∂L/∂θ · v)``: a gradient of a gradient, exact, for about two backward passes.

Source: Pearlmutter (1994), "Fast exact multiplication by the Hessian".
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from skipwise.analysis.curvature.gradient import Objective, objective
from skipwise.analysis.graph import derived_again
from skipwise.analysis.problem import Loss
from skipwise.analysis.spectra.operator import Flat, Operator


@contextmanager
def hessian(
    model: nn.Module,
    batches: Any,
    loss: Loss | None = None,
    *,
    of: str = "*",
    training: bool = True,
    seed: int = 0,
) -> Iterator[Operator]:
    """Give the Hessian of the mean loss while the model is held; its arguments are the objective's.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> batch = torch.tensor([[2.0]]), torch.tensor([[0.0]])
    >>> with hessian(model, batch, nn.functional.mse_loss) as matrix:
    ...     matrix.product(torch.ones(1)).item()
    8.0

    Args:
        model: Any module.
        batches: A pair (inputs, targets), or several.
        loss: ``(output, targets) → mean over the batch``.
        of: A pattern of names of parameters; the Hessian is the block of these.
        training: In training mode, where BatchNorm uses the batch, or in evaluation mode.
        seed: Of random layers.
    """
    with objective(model, batches, loss, of=of, training=training, seed=seed) as held:
        yield hessian_of(held)


def hessian_of(held: Objective, indices: Sequence[int] | None = None) -> Operator:
    """Give the Hessian of an objective, or of some of its batches.

    Of several batches the graph of a gradient is made anew for each product, so that memory does
    not grow with their number.
    """
    chosen = range(len(held.problems)) if indices is None else indices
    if len(chosen) == 1:
        return gradient_and_hessian(held, chosen[0])[1]
    total = sum(held.shares[index] for index in chosen)
    shares = {index: held.shares[index] / total for index in chosen}

    def product(vector: Flat) -> Flat:
        result = torch.zeros_like(vector)
        for index, share in shares.items():
            result += share * _derivative(held, _gradients(held, index), vector)
        return result

    return _operator(held, product)


def gradient_and_hessian(held: Objective, index: int) -> tuple[Flat, Operator]:
    """Give the gradient of one batch with its Hessian; the graph of both is made once and kept."""
    kept = _gradients(held, index)
    return held.flat(kept), _operator(held, lambda vector: _derivative(held, kept, vector))


def _operator(held: Objective, product: Callable[[Flat], Flat]) -> Operator:
    return Operator(
        size=sum(parameter.numel() for parameter in held.tensors),
        product=product,
        dtype=held.dtype,
        device=held.tensors[0].device,
    )


def _gradients(held: Objective, index: int) -> tuple[Tensor, ...]:
    return torch.autograd.grad(
        held.value(index),
        held.tensors,
        create_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )


def _derivative(held: Objective, gradients: Sequence[Tensor], vector: Flat) -> Flat:
    pairs = zip(gradients, held.parts(vector), strict=True)
    # Where the loss is linear in a parameter its gradient is a constant.
    curved = [(gradient, along) for gradient, along in pairs if gradient.requires_grad]
    if not curved:
        return torch.zeros_like(vector)
    found = derived_again([g for g, _ in curved], held.tensors, [along for _, along in curved])
    return held.flat(
        torch.zeros_like(parameter) if product is None else product
        for product, parameter in zip(found, held.tensors, strict=True)
    )
