"""The contract: (module, plan) → optimiser and schedule, with what goes with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf

from torch import nn
from torch.optim import Optimizer

from skipwise.description import Description, nearest
from skipwise.strategies.averaging import Averaging
from skipwise.strategies.freezing import Freezing
from skipwise.strategies.groups import ROLES, parameter_groups
from skipwise.strategies.guard import Guard
from skipwise.strategies.optimisers import (
    LARS,
    LBFGS,
    SGD,
    SGDW,
    Optimiser,
    Prodigy,
    ScheduleFreeSGD,
)
from skipwise.strategies.schedules import Cosine, Schedule
from skipwise.strategies.transforms import (
    ClipNorm,
    GradientNoise,
    GradientTransform,
    check_order,
)

RATE_POWERS = {"linear": 1.0, "sqrt": 0.5, "none": 0.0}
LOSSES = ("cross-entropy", "binary")
IN_WORDS = {"linear": "in proportion", "sqrt": "by the root", "none": "not scaled"}
IN_PROPORTION = (SGD, SGDW, LARS, ScheduleFreeSGD)
SELF_TUNED = (Prodigy, LBFGS)


@dataclass(frozen=True, kw_only=True)
class Strategy(Description):
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
        loss: ``"cross-entropy"``, or ``"binary"``: a yes or no for each class, the mean over them;
            for classes only. Its gradients are smaller by about their number, so a rule like SGD
            needs a higher rate. Evaluations give the cross-entropy all the same.
        averaging: How the weights of the steps are averaged; evaluations, and the weights that are
            kept, are then those of the average. None keeps the newest.
        layer_decay: d: a block that is the k-th before the head learns at d^k times the rate.
        scalar_rate: Factor on the rate of parameters of one number, the biases and factors of Fixup
            for example; not of the head.
        rates: Factors on the rate by role, ``{"stem": 0.5}``; one of ``ROLES``.
        decay_factors: Factors on ``weight_decay`` by role; without them it is 1 for stem, branch
            and head, and 0 for norm, bias and scale.
        gradient: What happens to the gradient before the update, in the order given.
        freezing: Which parts stop learning, and when; None lets all learn to the end.
        guard: What is done about steps that explode; None ends the run at the first loss that is
            not finite.
        rate_batch: The size of the batches that ``peak_lr`` is for.
        rate_rule: How the rate follows the size of the batch: ``"linear"``, ``"sqrt"`` or
            ``"none"``, which leaves it as it is.

    Source: layer_decay: Clark et al. (2020), ELECTRA; Bao et al. (2021), BEiT (fine-tuning);
    scalar_rate: Zhang et al. (2019), Fixup, whose authors take 0.1; loss: Wightman et al. (2021),
    "ResNet strikes back".
    """

    name: str
    optimiser: Optimiser
    peak_lr: float
    schedule: Schedule = field(default_factory=Cosine)
    weight_decay: float = 0.0
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    loss: str = "cross-entropy"
    averaging: Averaging | None = None
    layer_decay: float = 1.0
    scalar_rate: float = 1.0
    rates: Mapping[str, float] = field(default_factory=dict)
    decay_factors: Mapping[str, float] = field(default_factory=dict)
    gradient: tuple[GradientTransform, ...] = ()
    freezing: Freezing | None = None
    guard: Guard | None = None
    rate_batch: int = 128
    rate_rule: str = "none"

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.peak_lr < inf:
            raise ValueError(f"peak_lr must be positive, got {self.peak_lr}")
        if not 0 <= self.weight_decay < inf:
            raise ValueError(f"weight_decay must not be negative, got {self.weight_decay}")
        if self.clip_norm is not None and not 0 < self.clip_norm < inf:
            raise ValueError(
                f"clip_norm must be positive, got {self.clip_norm}; leave it out to clip nothing"
            )
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {self.label_smoothing}")
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {self.loss!r}")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(
                f"layer_decay must lie in (0, 1], got {self.layer_decay}; 1 gives every block"
                " the same rate"
            )
        if not 0 < self.scalar_rate < inf:
            raise ValueError(f"scalar_rate must be positive, got {self.scalar_rate}")
        check_order(self.transforms)
        self._check_roles()
        self._check_rule()
        self._check_gradient()
        if self.guard is not None and not self.optimiser.can_skip:
            raise ValueError(
                f"{type(self.optimiser).__name__} asks for the gradient while it moves the weights,"
                " so a guard cannot skip its steps; leave strategy.guard out, or take another"
                " optimiser"
            )

    def _check_gradient(self):
        rule = type(self.optimiser).__name__
        parts = {
            "clip_norm": self.clip_norm is not None,
            "gradient": bool(self.gradient),
            "freezing": self.freezing is not None,
        }
        named = [name for name, is_there in parts.items() if is_there]
        if named and not self.optimiser.can_skip:
            raise ValueError(
                f"{rule} searches along a line by the loss's own gradient, which"
                f" strategy.{named[0]} would change under it; leave that out, or take another"
                " optimiser"
            )
        noisy = any(isinstance(part, GradientNoise) for part in self.gradient)
        if noisy and self.optimiser.asks_again:
            raise ValueError(
                f"{rule} would climb along the noise of strategy.gradient instead of the gradient;"
                " leave one of them out"
            )

    def _check_roles(self):
        for name, factors in (("rates", self.rates), ("decay_factors", self.decay_factors)):
            for role, factor in factors.items():
                if role not in ROLES:
                    raise ValueError(f"{name} has no role {role!r}{nearest(role, ROLES)}")
                if not 0 <= factor < inf:
                    raise ValueError(
                        f"{name}.{role} is a factor and must not be negative, got {factor}"
                    )
        if 0 in self.rates.values():
            raise ValueError("rates must be positive; to keep a part as it is, set freeze")
        if self.decay_factors and self.weight_decay == 0:
            raise ValueError(
                "decay_factors have no effect without weight_decay; set strategy.weight_decay"
            )

    @property
    def searches(self) -> bool:
        """Whether a step asks for gradients on its way: it leaves statistics of where it began."""
        return any(rule.asks_again and not rule.can_skip for rule in self.optimiser.rules)

    @property
    def evaluates_copy(self) -> bool:
        """Whether a copy of the network is evaluated, with BatchNorm statistics of its own.

        It has other weights than those that are trained, or these where a search has ended.
        """
        others = self.averaging is not None or self.optimiser.evaluates_others
        return others or self.searches

    @property
    def transforms(self) -> tuple[GradientTransform, ...]:
        """All that happens to the gradient, clipping at ``clip_norm`` at its place among it."""
        if self.clip_norm is None:
            return self.gradient
        clip = ClipNorm(limit=self.clip_norm)
        before = sum(transform.place <= clip.place for transform in self.gradient)
        return (*self.gradient[:before], clip, *self.gradient[before:])

    def _check_rule(self):
        if self.rate_rule not in RATE_POWERS:
            raise ValueError(
                f"rate_rule must be one of {', '.join(RATE_POWERS)}, got {self.rate_rule!r}"
            )
        if self.rate_batch < 1:
            raise ValueError(f"rate_batch must be positive, got {self.rate_batch}")
        if self.averaging is not None and self.optimiser.evaluates_others:
            raise ValueError(
                f"{type(self.optimiser).__name__} has averaged or slow weights of its own, which"
                " are evaluated; leave strategy.averaging out"
            )

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
            rates=self.rates,
            decay_factors=self.decay_factors,
        )
        return self.optimiser.build(groups, rate=self.peak_lr)

    def for_batches(self, size: int) -> "Strategy":
        """Give the strategy whose rate is for batches of that size, by its rule.

        η·(B/B₀)^p with p = 1 (linear), ½ (sqrt) or 0 (none).

        Source: Goyal et al. (2017), section 2.1 (linear); Krizhevsky (2014), You et al. (2020)
        (root).
        """
        scale = (size / self.rate_batch) ** RATE_POWERS[self.rate_rule]
        return self if scale == 1 else replace(self, peak_lr=self.peak_lr * scale, rate_batch=size)

    @property
    def stated_rate(self) -> str:
        """The rate with the batches it is for and its rule: ``0.1 per 128, in proportion``."""
        if self.rate_rule == "none" and _has(self.optimiser, SELF_TUNED):
            return f"{self.peak_lr:g}, not scaled"
        return f"{self.peak_lr:g} per {self.rate_batch}, {IN_WORDS[self.rate_rule]}"

    def rate(self, step: int, steps: int) -> float:
        """Give the learning rate of the update after ``step`` of ``steps``."""
        return self.peak_lr * self.schedule.factor(step, steps)


def rate_notes(stated: Strategy, size: int) -> tuple[str, ...]:
    """Say by how much batches of a size change the rate, or that quite another size does not."""
    if stated.rate_rule == "none":
        return _unscaled_notes(stated, size)
    taken = stated.for_batches(size).peak_lr
    if stated.peak_lr == taken:
        return ()
    return (
        f"the rate is {taken:.4g}: {stated.peak_lr:g} for batches of {stated.rate_batch},"
        f" scaled {IN_WORDS[stated.rate_rule]} to batches of {size}",
    )


def _unscaled_notes(stated: Strategy, size: int) -> tuple[str, ...]:
    if stated.rate_batch != Strategy.rate_batch:
        return (
            f"the size strategy.rate_batch={stated.rate_batch} has no effect, since"
            " strategy.rate_rule is none; linear or sqrt let the rate follow the batches",
        )
    is_near = stated.rate_batch / 2 < size < 2 * stated.rate_batch
    if is_near or _has(stated.optimiser, SELF_TUNED):
        return ()
    rule = "linear" if _is_in_proportion(stated.optimiser) else "sqrt"
    scaled = replace(stated, rate_rule=rule).for_batches(size).peak_lr
    return (
        f"the rate stays {stated.peak_lr:g} for batches of {size}, as for {stated.rate_batch};"
        f" --set strategy.rate_rule={rule} makes it {scaled:.4g}",
    )


def strategy_notes(
    stated: Strategy, size: int, examples: int, steps: int, drawn: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Say what a run tells of its strategy: what batches do to its rate, which loss is trained.

    Args:
        stated: The strategy.
        size: Of a batch.
        examples: How many are trained on.
        steps: Of the run.
        drawn: What makes the loss another function of the weights at each step, in words.
    """
    rules = stated.optimiser.rules
    remarks = [text for rule in rules for text in rule.remarks(size, examples, steps)]
    remarks += [text for rule in rules for text in rule.remarks_on(drawn)]
    for part in (stated.schedule, stated.averaging, stated.freezing, *stated.gradient):
        remarks += () if part is None else part.remarks(steps)
    if stated.loss == "cross-entropy":
        return (*rate_notes(stated, size), *remarks)
    return (
        *rate_notes(stated, size),
        *remarks,
        "the loss of training is the binary cross-entropy, a mean over the classes; evaluations"
        " give the cross-entropy of the softmax",
    )


def _has(rule: Optimiser, kinds: tuple[type[Optimiser], ...]) -> bool:
    """Whether a rule, or one within it, is of such a kind."""
    return any(isinstance(part, kinds) for part in rule.rules)


def _is_in_proportion(rule: Optimiser) -> bool:
    """Whether a rule, or the base that it wraps, is one whose rate follows the batch itself."""
    base = vars(rule).get("base")
    return _is_in_proportion(base) if base is not None else isinstance(rule, IN_PROPORTION)
