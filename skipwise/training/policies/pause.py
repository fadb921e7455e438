"""A pause: a run stops at a share of its length and is measured, to go on from its save later.

Nothing of what is computed knows of it: the schedule is that of the whole length, and the
measurement counts neither for the best weights nor for patience. A run that paused ends like one
that did not, bit for bit.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from skipwise.training.run import Run

Item = TypeVar("Item")
ROUNDING = 1e-9


@dataclass(kw_only=True)
class Pause:
    """Says when a run pauses, and keeps what it scored there.

    Args:
        share: Of the length; 1 never pauses.
        score: On validation where it paused, NaN until it has.
    """

    share: float = 1.0
    score: float = math.nan

    def is_due(self, run: Run) -> bool:
        """Whether the run is at its pause; at its end it is over and does not pause."""
        return self.share * run.steps - ROUNDING <= run.step < run.steps

    def until(self, run: Run, steps: Iterable[Item]) -> Iterator[Item]:
        """Pass steps on up to the pause; none if a save stands there already."""
        if self.is_due(run):
            return
        for step in steps:
            yield step
            if self.is_due(run):
                return
