"""When a monitor measures: early and often, then as often as its cost allows.

Left alone it measures at steps 0, 1, 2, 5, 10, 20 and 50, where most happens, and then at even
distances to the end of the run, each only if it can afford it. With s the mean time of a step, t
steps taken of T, and a share p of the step time for this monitor, it can afford what keeps its time
so far below

    p·s·(t + (T − t)/4).

At the end that is p·s·T, never more; a quarter of what is left may be spent in advance, since the
first steps are the most interesting. A probe that costs more waits longer, and what a monitor
cannot spend in a run, being too dear for its share, goes to the others. One that measures every so
many steps does so whatever it costs; what it will cost comes out of the share of those left alone,
but for a quarter of theirs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

SHARE = 0.03  # of the step time, at most, for all monitors that are left alone, together
AIM = 0.9  # of that; the rest is for steps and measurements whose time drifts
KEPT = 0.25  # of their share, which monitors left alone keep beside one that was told how often
ADVANCE = 0.25  # of the time that is still to come
POINTS = 100  # at even distances over a run, at most
EARLY = (0, 1, 2, 5, 10, 20, 50)


@final
@dataclass(kw_only=True)
class Spent:
    """The time that steps took: how many there were, and seconds in all."""

    steps: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count a step."""
        self.steps, self.seconds = self.steps + 1, self.seconds + seconds

    @property
    def mean(self) -> float:
        """Seconds of a step; 1 before there is one, so that costs are then counted in steps."""
        return self.seconds / self.steps if self.steps else 1.0


@final
class Pace:
    """Decides when one monitor measures; its state is plain.

    Args:
        every: Steps between two measurements, whatever they cost; None goes by the cost.
        share: p, of the step time, where the cost decides.
        passes: Gives what a measurement is expected to cost, in steps; asked until one was timed.
    """

    def __init__(self, *, every: int | None, share: float, passes: Callable[[], float]):
        self.every, self.share, self.passes = every, share, passes
        self.last, self.count, self.seconds = -1, 0, 0.0
        self._cost: float | None = None

    def is_due(self, step: int, steps: int, spent: Spent, extra: float = 0.0) -> bool:
        """Say whether to measure after so many steps of so many.

        Args:
            step: t; 0 before the first.
            steps: T.
            spent: The time of the steps so far.
            extra: Seconds of the whole run that others leave to this monitor.
        """
        if step <= self.last:
            return False
        if self.every is not None:
            return step % self.every == 0
        if step < next_point(self.last, steps):
            return False
        ahead = (step + ADVANCE * (steps - step)) / steps
        allowed = self.share * spent.mean * steps + extra
        return self.seconds + self._expected(spent) <= allowed * ahead

    def left_over(self, steps: int, spent: Spent, held: float = 0.0) -> float:
        """Give the seconds of its share that are too few for one more measurement in this run.

        Args:
            steps: T.
            spent: The time of the steps so far.
            held: Seconds of the whole run that are not this monitor's to spend.
        """
        if self.every is not None:
            return 0.0
        left = max(self.share * spent.mean * steps - held - self.seconds, 0.0)
        return left % max(self._expected(spent), 1e-9)

    def planned(self, steps: int, spent: Spent) -> float:
        """Give the seconds that it will take in the whole run, if it was told how often."""
        return 0.0 if self.every is None else (steps // self.every + 1) * self._expected(spent)

    def _expected(self, spent: Spent) -> float:
        return self.passes() * spent.mean if self._cost is None else self._cost

    def measured(self, step: int, seconds: float) -> None:
        """Take in what a measurement cost."""
        self.last, self.count = step, self.count + 1
        self.seconds, self._cost = self.seconds + seconds, seconds

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint must hold."""
        return {
            "last": self.last,
            "count": self.count,
            "seconds": self.seconds,
            "cost": self._cost,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self.last, self.count = state["last"], state["count"]
        self.seconds, self._cost = state["seconds"], state["cost"]


def next_point(last: int, steps: int) -> int:
    """Give the first step after ``last`` at which a monitor left alone would measure.

    >>> [next_point(last, 20_000) for last in (-1, 0, 1, 2, 5, 10, 20, 50, 200, 300)]
    [0, 1, 2, 5, 10, 20, 50, 200, 400, 400]

    Args:
        last: When it measured last; −1 for never.
        steps: Of the whole run.
    """
    even = -(-steps // POINTS)
    return next((step for step in EARLY if step > last), (last // even + 1) * even)
