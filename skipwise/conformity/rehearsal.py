"""A training run in miniature: a real network, real batches and the real loop, in float64."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from skipwise.connections import Additive
from skipwise.data import Batch, Data, Dataset, Shares, assemble
from skipwise.experiment import Experiment, build
from skipwise.networks import NetworkDescription, fixup20, resnet20
from skipwise.randomness import generator
from skipwise.strategies import Strategy
from skipwise.training import Run, train

EXAMPLES, BATCH, CLASSES = 24, 8, 3
WITH_NORMS = replace(resnet20(), width=4, blocks=(1, 1), connection=Additive(learned=True))
WITHOUT_NORMS = replace(fixup20(), width=4, blocks=(1, 1))


@dataclass(frozen=True, kw_only=True)
class Stripes(Data):
    """Pictures of 6×6 pixels in three classes, drawn anew from a fixed seed."""

    @property
    def name(self) -> str:
        """``stripes``."""
        return "stripes"

    def load(self) -> Dataset:
        """Draw them."""
        noise = np.random.default_rng(0)
        labels = np.arange(EXAMPLES) % CLASSES
        pictures = noise.integers(0, 120, (EXAMPLES, 3, 6, 6))
        for row, label in enumerate(labels):
            pictures[row, label, 2 * label : 2 * label + 2] += 120
        parts = {"train": (torch.from_numpy(pictures.astype(np.uint8)), torch.from_numpy(labels))}
        none = Shares(validation=0.0, test=0.0)
        return assemble("stripes", parts, none, classes=tuple("abc"))


def rehearsal(
    strategy: Strategy,
    *,
    network: NetworkDescription = WITH_NORMS,
    steps: int = 6,
    parts: int = 1,
    exact_loss: bool = True,
    double: bool = True,
) -> Run:
    """Make a run of a few steps on the CPU, as an experiment makes it.

    Args:
        strategy: What is rehearsed.
        network: What learns; its weights are drawn, so that none starts at zero.
        steps: Length.
        parts: Of every batch.
        exact_loss: Whether the loss is computed in float64; the task's own uses float32.
        double: Whether all else is in float64; float32 is what runs compute in.
    """
    experiment = Experiment(
        data=Stripes(),
        network=network,
        strategy=strategy,
        steps=steps,
        batch_size=BATCH,
        parts=parts,
        augmentation=(),
        precision="float32",
        compile="off",
    )
    run, _ = build(experiment, Stripes().load(), device=torch.device("cpu"))
    for model in (run.model, None if run.average is None else run.average.model):
        if model is not None:
            _prepare(model, double=double)
    if double:
        _widen(run)
    if exact_loss and double:
        run.loss = _ExactLoss(strategy)
    return run


@dataclass(frozen=True)
class _ExactLoss:
    strategy: Strategy

    def __call__(self, output: Tensor, batch: Batch) -> tuple[Tensor, float]:
        smoothing = self.strategy.label_smoothing
        if self.strategy.loss == "binary":
            whole = one_hot(batch.targets, CLASSES).double()
            shares = (1 - smoothing) * whole + smoothing / CLASSES
            nats = binary_cross_entropy_with_logits(output, shares, reduction="sum")
            return nats / CLASSES, len(batch)
        total = cross_entropy(output, batch.targets, reduction="sum", label_smoothing=smoothing)
        return total, len(batch)


def _as_double(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.double() for x in inputs)


@torch.no_grad()
def _prepare(model: nn.Module, *, double: bool) -> None:
    if double:
        model.double().register_forward_pre_hook(_as_double)
    noise = generator("conformity", "weights")
    for parameter in model.parameters():
        drawn = torch.randn(parameter.shape, generator=noise, dtype=torch.float64)
        parameter.add_(0.2 * drawn.to(parameter.dtype))


def _widen(run: Run) -> None:
    # Adagrad's state is there from the start, in the type that the parameters had then.
    for state in run.optimiser.state.values():
        tensors = {k: v for k, v in state.items() if isinstance(v, Tensor) and k != "step"}
        state.update({k: v.double() for k, v in tensors.items()})


def finish(run: Run, steps: int | None = None) -> Run:
    """Train to the end, or so many steps."""
    for step in train(run):
        if steps is not None and step.step >= steps:
            break
    return run


def weights_of(model: nn.Module) -> dict[str, np.ndarray]:
    """Give the parameters by name."""
    return {name: p.detach().cpu().numpy().copy() for name, p in model.named_parameters()}


def equal(one: Any, other: Any) -> bool:
    """Whether two states are the same, tensors bit for bit; NaN is the same as NaN."""
    if isinstance(one, Tensor):
        if not isinstance(other, Tensor) or one.shape != other.shape or one.dtype != other.dtype:
            return False
        return bool(((one == other) | (one.isnan() & other.isnan())).all())
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(equal(v, other[k]) for k, v in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other) or (one != one and other != other)
