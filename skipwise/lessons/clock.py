"""A budget of seconds that work asks before it begins."""

from collections.abc import Callable
from time import perf_counter
from typing import final


@final
class Clock:
    """Counts from its making.

    Args:
        seconds: The budget.
        kept: Of these, what is kept for what follows the work.
        now: What tells the time.

    Raises:
        ValueError: If the budget is not positive.
    """

    def __init__(
        self, seconds: float, *, kept: float = 0.0, now: Callable[[], float] = perf_counter
    ):
        if not 0 < seconds < float("inf"):
            raise ValueError(f"seconds must be positive, got {seconds}")
        self.seconds, self.kept, self._now = seconds, kept, now
        self._began = now()

    @property
    def spent(self) -> float:
        """Seconds since it was made."""
        return self._now() - self._began

    @property
    def left(self) -> float:
        """Seconds that are left for work; negative where they are overdrawn."""
        return self.seconds - self.kept - self.spent
