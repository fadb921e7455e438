"""A target: train until validation reaches it, a run that doubles until that brings no more."""

from dataclasses import dataclass
from typing import Any


def check_judged(patience: int, target: float | None, *, there: bool) -> None:
    """Refuse a patience and a target that nothing would judge.

    Args:
        patience: 0 for none.
        target: None for none.
        there: Whether there are validation data.

    Raises:
        ValueError: If there are none.
    """
    if not there and (patience or target is not None):
        raise ValueError(
            "target and patience are judged by validation data, and there are none; train with some"
            " held out, --set data.shares.validation=0.1, or leave them out"
        )


@dataclass(kw_only=True)
class Target:
    """Says after an evaluation how long a run is to be, given what it is to reach.

    The run ends where the target is reached. If a run ends without it, it goes on for as long
    again, under the schedule of its new length, unless the last doubling brought nothing.

    Args:
        value: What the metric is to reach: a share where more is better, else a loss or an
            error.
        higher: Whether more is better.
        doublings: How many there may be.
        doubled: How many there were.
        before: The best value when the run was last doubled.
    """

    value: float
    higher: bool
    doublings: int = 0
    doubled: int = 0
    before: float | None = None

    def __post_init__(self):
        if self.higher and not 0 < self.value <= 1:
            raise ValueError(
                f"a target is a share in (0, 1], 0.92 for example, got {self.value:g}, which no"
                " network reaches or every network does"
            )
        if not self.higher and self.value <= 0:
            raise ValueError(f"a target of a loss or an error must be positive, got {self.value:g}")

    def is_reached(self, value: float) -> bool:
        """Whether a value of the metric is as good as the target."""
        return value >= self.value if self.higher else value <= self.value

    def length(self, step: int, steps: int, *, now: float, best: float) -> int:
        """Give the number of steps of the run, after an evaluation.

        Args:
            step: Updates taken.
            steps: Length of the run so far.
            now: What was evaluated.
            best: The best of the whole run.
        """
        if self.is_reached(now):
            return step
        if step < steps or self.doubled >= self.doublings:
            return steps
        if self.before is not None and best == self.before:
            return steps
        self.before, self.doubled = best, self.doubled + 1
        return 2 * steps

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint must hold."""
        return {"doubled": self.doubled, "before": self.before}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self.doubled, self.before = state["doubled"], state["before"]
