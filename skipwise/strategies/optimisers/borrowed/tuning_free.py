"""Rules that find their own rate (Prodigy) or need no schedule (Schedule-Free)."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer

from skipwise.strategies.optimisers.adam import MomentEstimating
from skipwise.strategies.optimisers.borrowed.loading import Sparing, load
from skipwise.strategies.optimisers.optimiser import (
    Groups,
    Optimiser,
    check_not_negative,
    check_positive,
    same_rates,
)

# Of the average in Schedule-Free: by the square of the rate alone, from the first step on.
WEIGHTS: dict[str, Any] = {"warmup_steps": 0, "r": 0.0, "weight_lr_power": 2.0}


@dataclass(frozen=True, kw_only=True)
class Prodigy(MomentEstimating):
    """Adam with rate γd, where d grows to an estimate of how far the weights have to go.

    r ← √β₂ r + (1 − √β₂)·γd²⟨g, w₀ − w⟩ and s ← √β₂ s + (1 − √β₂)·γd²g over all parameters, up to
    one common factor; d ← max(d, c r/‖s‖₁); m and v are those of dg and d²g², and
    w ← w − γdλw − γd m/(√v + dε), where d is that of before but for dε. γ is the schedule times the
    rate, which should stay one. A step waits for the device twice.

    Args:
        start: d at first.
        coefficient: c.
        safeguarded: Whether the rate counts only in r, for schedules that begin with a warm-up.
        corrected: Whether γ is corrected for the start of the moments.

    Source: Mishchenko, Defazio (2024), "Prodigy: an expeditiously adaptive parameter-free learner",
    algorithm 4, and the authors' code.
    """

    start: float = 1e-6
    coefficient: float = 1.0
    safeguarded: bool = True
    corrected: bool = False

    is_elementwise: ClassVar[bool] = False
    state_in_groups: ClassVar[tuple[str, ...]] = (
        "step", "d", "d_max", "d_hat", "d_numerator", "d_de_nom",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        check_positive(start=self.start, coefficient=self.coefficient)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make it.

        The package takes the rate of the first group for all, so groups cannot have their own.
        """
        same_rates(groups, "Prodigy")
        return load(
            "prodigy",
            groups,
            lr=rate,
            d0=self.start,
            d_coef=self.coefficient,
            safeguard_warmup=self.safeguarded,
            bias_correction=self.corrected,
            weight_decay=0.0,
            weight_decouple=True,
            fixed_decay=False,
            beta3=None,
            growth_rate=math.inf,
            **self.options(),
        )


@dataclass(frozen=True, kw_only=True)
class ScheduleFree(Optimiser):
    """What both have in common.

    z ← z − ηu, x ← (1 − c)x + cz, with c = η²/Ση² of the largest rates so far; the gradient is
    taken at y = (1 − β)z + βx, which is what is trained. x is evaluated and kept, with BatchNorm
    statistics of its own. The decay λy is part of u. The rate should rise and then stay: the
    average takes the place of its fall.
    """

    is_elementwise: ClassVar[bool] = False
    state_in_groups: ClassVar[tuple[str, ...]] = ("step", "weight_sum", "lr_max", "train_mode")

    @property
    def evaluates_others(self) -> bool:
        """The average x."""
        return True

    def _averages(self, optimiser: Optimizer, beta: float) -> dict[nn.Parameter, Tensor]:
        """Give x = (y − (1 − β)z)/β."""
        return {
            y: y.detach().lerp(optimiser.state[y]["z"], 1 - 1 / beta)
            for group in optimiser.param_groups
            for y in group["params"]
            if "z" in optimiser.state[y]
        }


@dataclass(frozen=True, kw_only=True)
class ScheduleFreeSGD(ScheduleFree):
    """Schedule-Free with u = g + λy.

    z ← z − ηu, x ← (1 − c)x + cz, y = (1 − β)z + βx, c = η²/Ση²; x is evaluated.

    Args:
        beta: β, in (0, 1), in the place of momentum.

    Source: Defazio et al. (2024), "The road less scheduled", eq. 3 to 5 and section 3 (weights of
    the average). The package overwrites the gradients, so it gets copies.
    """

    beta: float = 0.9

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.beta < 1:
            raise ValueError(f"beta must lie in (0, 1), got {self.beta}")

    def evaluated(self, optimiser: Optimizer) -> dict[nn.Parameter, Tensor]:
        """Give x."""
        return self._averages(optimiser, self.beta)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make it."""
        options = {"lr": rate, "momentum": self.beta, "weight_decay": 0.0, **WEIGHTS}
        return Sparing(load("schedulefreesgd", groups, **options))


@dataclass(frozen=True, kw_only=True)
class ScheduleFreeAdamW(ScheduleFree):
    """Schedule-Free with u = g/(√(v̂ + 10⁻¹⁵) + ε) + λy.

    z ← z − ηu, x ← (1 − c)x + cz, y = (1 − β₁)z + β₁x, c = η²/Ση²; x is evaluated.

    Args:
        beta1: In the place of the memory of the mean gradient, in (0, 1).
        beta2: Memory of the mean square v.
        epsilon: ε.

    Source: Defazio et al. (2024), "The road less scheduled", in the form of the authors' later code
    (``AdamWScheduleFree``). In algorithm 1, and the code of its experiments
    (``AdamWScheduleFreePaper``), √(1 − β₂ᵗ) is a factor of the rate η, in the decay and in c too,
    and ε stands beside √v. Differs: 10⁻¹⁵ under the root, which the package adds and which counts
    as ε = 3·10⁻⁸ would. It overwrites the gradients, so it gets copies.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.beta1 < 1:
            raise ValueError(f"beta1 must lie in (0, 1), got {self.beta1}")
        if not 0 <= self.beta2 < 1:
            raise ValueError(f"beta2 must lie in [0, 1), got {self.beta2}")
        check_not_negative(epsilon=self.epsilon)

    def evaluated(self, optimiser: Optimizer) -> dict[nn.Parameter, Tensor]:
        """Give x."""
        return self._averages(optimiser, self.beta1)

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make it."""
        options = {"betas": (self.beta1, self.beta2), "eps": self.epsilon, **WEIGHTS}
        options |= {"decoupling_c": 0, "ams_bound": False}
        return Sparing(load("schedulefreeadamw", groups, lr=rate, weight_decay=0.0, **options))
