"""Caution: of an update, only what goes down the newest gradient."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Tensor
from torch.optim import Optimizer

from skipwise.strategies.optimisers.adam import MomentEstimating, MomentKeeping
from skipwise.strategies.optimisers.optimiser import Groups


@dataclass(frozen=True, kw_only=True)
class CautiousAdamW(MomentEstimating):
    """w ← w − ηλw − η φ/max(s, s₀) · m̂/(√v̂ + ε), with φ = 1 where mg > 0 and 0 elsewhere.

    s is the mean of φ over a parameter: what still moves moves farther, so that numbers of one size
    would move as far in sum as without φ.

    Args:
        least: s₀, in (0, 1].

    Source: Liang et al. (2024), "Cautious optimizers: improving training with one line of code",
    algorithm 1, with the s₀ of the authors' code. Differs: the decay comes first, as in torch's
    AdamW. It is ours because pytorch-optimizer divides by s + 1/n, n numbers in a parameter, which
    halves the steps of a parameter of one.
    """

    least: float = 1e-3

    is_elementwise: ClassVar[bool] = False

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.least <= 1:
            raise ValueError(f"least must lie in (0, 1], got {self.least}")

    def build(self, groups: Groups, *, rate: float) -> Optimizer:
        """Make the optimiser."""
        defaults = {"lr": rate, "weight_decay": 0.0, "least": self.least, **self.options()}
        return Masking(groups, defaults)


@final
class Masking(MomentKeeping):
    """The optimiser of :class:`CautiousAdamW`."""

    def direction(self, mean: Tensor, g: Tensor, group: dict[str, Any]) -> Tensor:
        """Give φm/max(s, s₀)."""
        agrees = (mean * g > 0).to(mean.dtype)
        return mean * agrees.div_(agrees.mean().clamp_(min=group["least"]))
