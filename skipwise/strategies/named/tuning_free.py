"""Recipes without a rate to find, or without a schedule."""

from skipwise.strategies.optimisers import (
    Prodigy,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
)
from skipwise.strategies.schedules import Cosine, Steps
from skipwise.strategies.strategy import Strategy

RISING = Steps(milestones=(), warmup=0.05)  # up, and then as it is


def prodigy() -> Strategy:
    """Prodigy with rate 1 and decay 0.01, cosine: it finds the size of its steps itself.

    Evidence: Mishchenko, Defazio (2024): CIFAR-10 with ResNet-50, near tuned Adam. In AlgoPerf,
    with Schedule-Free, 71.3 % where others had 77 %.
    """
    return Strategy(
        name="prodigy",
        optimiser=Prodigy(),
        peak_lr=1.0,
        schedule=Cosine(warmup=0.05),
        weight_decay=0.01,
        label_smoothing=0.1,
    )


def schedulefree_adamw() -> Strategy:
    """Schedule-Free AdamW with rate 2.5e-3 and decay 0.08, a warm-up of 5 % and then constant.

    Evidence: Defazio et al. (2024), whose code has this rate by default; AlgoPerf, ResNet-50 on
    ImageNet: 77.41 ± 0.03 % where BatchNorm's statistics were those of the evaluated weights,
    60.8 % where they were not. Differs: there batches of 1024, β₂ = 0.9955, smoothing 0.2, a
    warm-up of 1.5 %, and norms and biases decay. With those numbers and their rate brought to
    batches of 128 by the root, 240 steps of ResNet-20 (width 8) on digits end at 92.3 %, as it is
    here at 96.0 % (validation, three seeds).
    """
    return Strategy(
        name="schedulefree-adamw",
        optimiser=ScheduleFreeAdamW(),
        peak_lr=2.5e-3,
        schedule=RISING,
        weight_decay=0.08,
        label_smoothing=0.1,
    )


def schedulefree_sgd() -> Strategy:
    """Schedule-Free SGD with rate 1 and decay 5e-5, a warm-up of 5 % and then constant.

    Ten times SGD's rate, at the lower end of what the authors advise, and a tenth of its decay, so
    that both have one product. Evidence: Defazio et al. (2024), CIFAR and ImageNet.
    """
    return Strategy(
        name="schedulefree-sgd",
        optimiser=ScheduleFreeSGD(),
        peak_lr=1.0,
        rate_batch=128,
        rate_rule="linear",
        schedule=RISING,
        weight_decay=5e-5,
        label_smoothing=0.1,
    )
