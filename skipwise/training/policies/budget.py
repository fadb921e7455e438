"""A budget of time: measure the first steps, fit the length of the run to it, keep it fitted.

The schedule is a function of (step, steps), so a new length bends it without a jump worth
mentioning. The fit is state: it depends on the clock and cannot be recomputed.
"""

from dataclasses import dataclass
from statistics import median
from typing import Any

FIRST_STEPS = 10
REFIT_SHARE = 0.02
TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run takes, beside its updates.

    Args:
        step: Seconds of the last update.
        examples: Examples of an update.
        between: Examples to evaluate, spread over the updates between two evaluations.
        end: Examples to evaluate after the last update.
        example_seconds: Of evaluating one; 0 until an evaluation was timed.
    """

    step: float
    examples: int
    between: float
    end: float
    example_seconds: float = 0.0


@dataclass(kw_only=True)
class TimeBudget:
    """Fits the number of steps to a number of seconds, evaluations and saves included.

    Args:
        seconds: The budget.
        spent: Seconds used in earlier sessions.
    """

    seconds: float
    spent: float = 0.0
    last_fit: float = 0.0

    def __post_init__(self):
        self._steps: list[float] = []

    def fit(self, step: int, steps: int, *, elapsed: float, cost: Cost) -> int:
        """Give the number of steps that fits, or ``steps`` where it is near enough or too early.

        Args:
            step: Updates taken.
            steps: Length of the run so far.
            elapsed: Seconds of this session.
            cost: What the last update took, and what is still to come.
        """
        self._steps.append(cost.step)
        now = self.spent + elapsed
        if now >= self.seconds:
            return step
        first = self.last_fit == 0.0
        if len(self._steps) < FIRST_STEPS and elapsed < 0.1 * self.seconds:
            return steps
        if not first and now - self.last_fit < REFIT_SHARE * self.seconds:
            return steps
        self.last_fit = now
        # One slow step must not pass for the cost of all: a run that stops early is not mended.
        typical = median(self._steps[-50:])
        # Until an evaluation was timed: a forward pass is a third of a step.
        each = cost.example_seconds or typical / 3 / cost.examples
        left = max(self.seconds - now - cost.end * each, 0.0)
        fitted = step + max(int(left / (typical + cost.between * each)), 1)
        return steps if abs(fitted - steps) <= TOLERANCE * (fitted - step) else fitted

    def told(self, step: int, fitted: int, epochs: float) -> str:
        """Say what became of the length, after ``step`` updates; ``epochs`` are those of it."""
        if fitted <= step:
            return f"the {self.seconds:.0f} seconds are over, so the run ends at step {step}"
        return f"{fitted} steps ({epochs:.1f} epochs) fit into {self.seconds:.0f} seconds"

    def state(self, elapsed: float) -> dict[str, Any]:
        """Give what a checkpoint must hold."""
        return {"spent": self.spent + elapsed, "last_fit": self.last_fit}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self.spent, self.last_fit = state["spent"], state["last_fit"]
