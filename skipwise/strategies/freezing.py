"""Progressive freezing: parts stop learning one after the other, from the stem on."""

from dataclasses import dataclass
from math import inf

from skipwise.description import Description


@dataclass(frozen=True, kw_only=True)
class Freezing(Description):
    """Part k = 0 … n − 1 stops at the share t_k = (first + (last − first)·k/(n − 1))^power.

    Parts are the stem and the blocks, in their order; the head always learns. A part that has
    stopped is in evaluation mode, its norms keep their statistics, and no backward pass goes
    through it, so the later steps are cheaper. Where averaged weights are evaluated, it is
    evaluated as it is.

    Args:
        first: In (0, 1); its power is the share of the run after which the stem stops.
        last: In [first, 1]; its power is that for the last block, and 1 never stops it.
        power: 3 stops the early parts earlier, as the paper advises; 1 spaces them evenly.

    Source: Brock et al. (2017), "FreezeOut", section 2, with t_0 = first, 1 and power 3 (its cubic
    schedule). Differs: the rate of a part follows the strategy's schedule until it stops, where
    the paper gives every part a cosine of its own that ends there.
    """

    first: float = 0.5
    last: float = 1.0
    power: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.first < 1:
            raise ValueError(
                f"first is a share of the run and must lie in (0, 1), got {self.first}"
            )
        if not self.first <= self.last <= 1:
            raise ValueError(
                f"last must lie in [first, 1], got {self.last} with first {self.first}: the parts"
                " stop from the stem on"
            )
        if not 0 < self.power < inf:
            raise ValueError(f"power must be positive and finite, got {self.power}")

    def remarks(self, steps: int) -> tuple[str, ...]:
        """Say so where the stem never learns."""
        if self.stopped(0, steps, 1) == 0:
            return ()
        return (
            f"Freezing stops the stem before the first of the run's {steps} steps, so it never"
            " learns; raise strategy.freezing.first, or train longer",
        )

    def stopped(self, step: int, steps: int, parts: int) -> int:
        """Count the parts, from the stem on, that the update after ``step`` leaves as they are."""
        over = max(parts - 1, 1)
        shares = (self.first + (self.last - self.first) * k / over for k in range(parts))
        return sum(step >= round(share**self.power * steps) for share in shares)
