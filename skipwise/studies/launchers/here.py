"""This process as a launcher, for data that were made in Python and cannot go to another."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

from skipwise.studies.launchers.launcher import STOPPED, Launcher, News, Outcome, Task


@final
@dataclass(kw_only=True)
class Here(Launcher):
    """One task after the other, in this process.

    Args:
        carry_out: Does one task.
    """

    carry_out: Callable[[Task], Outcome]

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        return "one run after the other in this process"

    def close(self) -> None:
        """Nothing is kept."""

    def launch(self, tasks: Sequence[Task], signals: Sequence[int]) -> Iterator[News]:
        """Do all tasks; see :class:`Launcher`."""
        for task in tasks:
            if signals:
                return
            yield News(task=task)
            outcome = self.carry_out(task)
            yield News(task=task, outcome=outcome)
            if outcome.state == STOPPED:
                return
