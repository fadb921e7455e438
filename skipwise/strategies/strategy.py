"""The contract: (module, plan) → optimiser and schedule, with what goes with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn
from torch.optim import Optimizer

from skipwise.strategies.averaging import Averaging
from skipwise.strategies.groups import parameter_groups
from skipwise.strategies.optimisers import Optimiser
from skipwise.strategies.schedules import Cosine, Schedule


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """How a network is trained, complete: nothing about it is decided elsewhere.

    Args:
        name: What tables and folders call it.
        optimiser: The update rule.
        peak_lr: Learning rate at the top of the schedule.
        schedule: Factor on it, by step.
        weight_decay: Of convolution and linear weights; norms, biases and scales never decay.
        clip_norm: Largest Euclidean norm of the whole gradient; a longer one is scaled down. None:
            never.
        label_smoothing: ε of the cross-entropy; for classes only.
        averaging: How the weights of the steps are averaged; evaluations, and the weights that are
            kept, are then those of the average. None keeps the newest.
        layer_decay: d: a block that is the k-th before the head learns at d^k times the rate.
        scalar_rate: Factor on the rate of parameters of one number, the biases and factors of Fixup
            for example.

    Source: layer_decay: Clark et al. (2020), ELECTRA; Bao et al. (2021), BEiT (fine-tuning);
    scalar_rate: Zhang et al. (2019), Fixup, whose authors take 0.1.
    """

    name: str
    optimiser: Optimiser
    peak_lr: float
    schedule: Schedule = field(default_factory=Cosine)
    weight_decay: float = 0.0
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    averaging: Averaging | None = None
    layer_decay: float = 1.0
    scalar_rate: float = 1.0

    def __post_init__(self):
        if self.peak_lr <= 0:
            raise ValueError(f"peak_lr must be positive, got {self.peak_lr}")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay must not be negative, got {self.weight_decay}")
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ValueError(
                f"clip_norm must be positive, got {self.clip_norm}; leave it out to clip nothing"
            )
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {self.label_smoothing}")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(
                f"layer_decay must lie in (0, 1], got {self.layer_decay}; 1 gives every block"
                " the same rate"
            )
        if self.scalar_rate <= 0:
            raise ValueError(f"scalar_rate must be positive, got {self.scalar_rate}")

    def build(self, module: nn.Module, distances: Mapping[str, int] | None = None) -> Optimizer:
        """Make the optimiser over the module's trainable parameters.

        Args:
            module: Any module.
            distances: Blocks between a parameter and the head, by name; for ``layer_decay``.
        """
        groups = parameter_groups(
            module,
            self.weight_decay,
            layer_decay=self.layer_decay,
            distances=distances,
            scalar_rate=self.scalar_rate,
        )
        return self.optimiser.build(groups, rate=self.peak_lr)

    def rate(self, step: int, steps: int) -> float:
        """Give the learning rate of the update after ``step`` of ``steps``."""
        return self.peak_lr * self.schedule.factor(step, steps)
