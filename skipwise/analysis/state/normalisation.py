"""Whether BatchNorm's running statistics are those of the data."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, final

import torch
from torch import Tensor, nn

from skipwise.analysis.curvature import objective
from skipwise.analysis.measurement import Measurement
from skipwise.analysis.problem import BATCH_NORM, Loss, as_module


def settled(momentum: float, steps: int) -> float:
    """Give ``1 − (1 − m)^T``: how far running statistics have come from their start in T batches.

    Fed one batch again and again, ``running = batch·(1 − (1 − m)^T) + start·(1 − m)^T``; the
    variance of the batch is that over n − 1.
    """
    return -math.expm1(steps * math.log1p(-momentum)) if momentum < 1 else float(steps > 0)


@final
class Seen:
    """Sums over all that enters one norm, by channel, in float64."""

    def __init__(self):
        self.count, self.total, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Count a batch, shape ``(batch, channels, *space)``."""
        rows = values.detach().double().movedim(1, -1).reshape(-1, values.shape[1])
        self.count += len(rows)
        self.total = self.total.to(rows) + rows.sum(0)
        self.squares = self.squares.to(rows) + rows.square().sum(0)

    def mean(self) -> Tensor:
        """Give the mean."""
        return self.total / self.count

    def variance(self) -> Tensor:
        """Give the variance, over n − 1 as BatchNorm stores it."""
        return (self.squares / self.count - self.mean().square()).clamp(min=0) * (
            self.count / max(self.count - 1, 1)
        )


def normalisation(
    model: nn.Module, batches: Any, loss: Loss | None = None, *, seed: int = 0
) -> Measurement:
    """Compare what every BatchNorm has stored with the population that enters it.

    The population is that of training mode, where the layers before normalise by the batch. Stored
    and seen differ when few batches were counted (``settled`` says how far they could have come),
    when the weights move faster than the average follows, or when the batches are small.

    Args:
        model: Any module.
        batches: A pair (inputs, targets), or several of the size that is trained with.
        loss: ``(output, targets) → mean over the batch``; the cross-entropy if None.
        seed: Of random layers.

    Returns:
        A row for each norm: the median over channels of ``|μ_run − μ|/σ`` and of ``σ_run²/σ²``, the
        share of channels with ``σ² < 10·ε``, ``settled``, and how many ``batches`` were counted.
        As figures the loss in both modes, on the same data.

    Raises:
        ValueError: If the model has no BatchNorm with running statistics, or see :func:`objective`.

    Source: on the gap between the modes Singh and Shrivastava (2019), "EvalNorm".
    """
    found = {n: m for n, m in as_module(model).named_modules() if isinstance(m, BATCH_NORM)}
    norms = {name: norm for name, norm in found.items() if norm.running_mean is not None}
    if not norms:
        raise ValueError(
            f"{type(model).__name__} has no BatchNorm with running statistics, so there are none to"
            " compare"
        )
    stored = {n: (_wide(m.running_mean), _wide(m.running_var)) for n, m in norms.items()}
    seen = {name: Seen() for name in norms}
    with objective(model, batches, loss, training=False, seed=seed) as held:
        evaluating = held.loss()
    with objective(model, batches, loss, training=True, seed=seed) as held, ExitStack() as hooks:
        for name, norm in norms.items():
            hooks.callback(norm.register_forward_pre_hook(_adding(seen[name])).remove)
        training = held.loss()
    used = [name for name in norms if seen[name].count]
    columns = {
        "shift": [_shift(stored[n][0], seen[n]) for n in used],
        "variance ratio": [(stored[n][1] / seen[n].variance()).median().item() for n in used],
        "narrow": [(seen[n].variance() < 10 * norms[n].eps).double().mean().item() for n in used],
        "settled": [_settled(norms[n]) for n in used],
        "batches": [float(_batches(norms[n])) for n in used],
    }
    return _record(used, columns, evaluating, training)


def _record(
    used: list[str], columns: dict[str, list[float]], evaluating: float, training: float
) -> Measurement:
    return Measurement(
        name="health of BatchNorm",
        formula="median |μ_run − μ|/σ, median σ_run²/σ², share with σ² < 10ε, 1 − (1 − m)^T",
        source="Ioffe and Szegedy (2015); Singh and Shrivastava (2019)",
        of="norm",
        rows=tuple(used),
        columns={name: tuple(column) for name, column in columns.items()},
        figures={
            "loss in evaluation mode": evaluating,
            "loss in training mode": training,
            "relative gap": (evaluating - training) / abs(training) if training else math.nan,
        },
    )


def _wide(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor.detach().double().clone()


def _adding(seen: Seen) -> Callable[..., None]:
    return lambda module, args: seen.add(args[0])


def _shift(stored: Tensor, seen: Seen) -> float:
    deviation = seen.variance().sqrt()
    return ((stored - seen.mean()).abs() / deviation).nanmedian().item()


def _settled(norm: nn.modules.batchnorm._BatchNorm) -> float:
    steps = _batches(norm)
    return float(steps > 0) if norm.momentum is None else settled(norm.momentum, steps)


def _batches(norm: nn.modules.batchnorm._BatchNorm) -> int:
    return 0 if norm.num_batches_tracked is None else int(norm.num_batches_tracked)
