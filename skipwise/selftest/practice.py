"""Specimens at their start and after some training, with all that an examination may ask for.

A loop of its own, since what is planted here is no experiment; it keeps what ``History`` asks for.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import Optimizer

from skipwise.analysis import weights_of
from skipwise.analysis.problem import Loss
from skipwise.diagnosis.history import Evaluated, History
from skipwise.selftest.case import Pair, Specimen
from skipwise.selftest.examples import batches

FIRST_RATE, RATE, MOMENTUM = 1e-3, 0.02, 0.9
EVALUATIONS = 10  # over the whole training


def untrained(
    model: nn.Module,
    pairs: Sequence[Pair],
    *,
    loss: Loss | None = None,
    rate: float = FIRST_RATE,
) -> Specimen:
    """Give a model at its start as a specimen, with the optimiser that will train it."""
    return Specimen(
        model=model,
        batches=pairs,
        loss=loss,
        optimiser=_descent(model, rate),
        history=History(batch_size=len(pairs[0][1]), dtype=_dtype(model)),
        start=weights_of(model),
    )


def practised(
    model: nn.Module,
    seed: int,
    *,
    steps: int,
    optimiser: Optimizer | None = None,
    pairs: Sequence[Pair] | None = None,
    loss: Loss | None = None,
    validation: Sequence[Pair] | None = None,
) -> Specimen:
    """Train a model and give it as a specimen, in training mode.

    Args:
        model: It is trained in place.
        seed: Of the examples, where no pairs are given.
        steps: Updates; the batches are taken in turn.
        optimiser: Of the model; descent with momentum if None.
        pairs: What it is trained on.
        loss: ``(output, targets) → one number``; the cross-entropy if None.
        validation: What it is evaluated on besides, ten times.
    """
    rule = _descent(model, RATE) if optimiser is None else optimiser
    pairs = batches(seed) if pairs is None else pairs
    start = weights_of(model)
    history = _trained(model, rule, pairs, loss or nn.functional.cross_entropy, steps, validation)
    return Specimen(
        model=model,
        batches=pairs,
        loss=loss,
        optimiser=rule,
        history=history,
        validation=validation,
        start=start,
    )


def _trained(
    model: nn.Module,
    rule: Optimizer,
    pairs: Sequence[Pair],
    loss: Loss,
    steps: int,
    validation: Sequence[Pair] | None,
) -> History:
    """Train the model in place and tell of it."""
    losses, norms = [], []
    seen: dict[str, list[Evaluated]] = {"training": [], "validation": []}
    model.train()
    for step in range(1, steps + 1):
        inputs, targets = pairs[(step - 1) % len(pairs)]
        rule.zero_grad()
        value = loss(model(inputs), targets)
        value.backward()
        losses.append(value.item())
        norms.append(_norm(model))
        rule.step()
        if validation is not None and step % max(steps // EVALUATIONS, 1) == 0:
            for part, given in (("training", pairs), ("validation", validation)):
                seen[part].append(_evaluated(model, given, loss, step))
    rule.zero_grad()
    return History(
        steps=tuple(range(1, steps + 1)),
        losses=tuple(losses),
        rates=(float(rule.param_groups[0]["lr"]),) * steps,
        gradient_norms=tuple(norms),
        training=tuple(seen["training"]),
        validation=tuple(seen["validation"]),
        batch_size=len(pairs[0][1]),
        dtype=_dtype(model),
    )


def _descent(model: nn.Module, rate: float) -> Optimizer:
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=MOMENTUM)


def _dtype(model: nn.Module) -> str:
    return str(next(model.parameters()).dtype).removeprefix("torch.")


def _norm(model: nn.Module) -> float:
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return nn.utils.get_total_norm(gradients).item()


@torch.no_grad()
def _evaluated(model: nn.Module, pairs: Sequence[Pair], loss: Loss, step: int) -> Evaluated:
    model.eval()
    outputs = [(model(inputs), targets) for inputs, targets in pairs]
    model.train()
    examples = sum(len(targets) for _, targets in outputs)
    total = sum(loss(output, targets).item() * len(targets) for output, targets in outputs)
    right = sum((output.argmax(1) == targets).sum().item() for output, targets in outputs)
    return Evaluated(step=step, loss=total / examples, accuracy=right / examples)
