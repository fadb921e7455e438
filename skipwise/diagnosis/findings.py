"""What an examination has found so far: measurements, and why others could not be made."""

from dataclasses import dataclass, field
from typing import final

from skipwise.analysis import Measurement
from skipwise.diagnosis.rehearsal import Rehearsal


@final
@dataclass(kw_only=True)
class Findings:
    """It grows while a model is examined.

    Args:
        measurements: By their short names.
        failed: Why the others could not be made, in a sentence.
        seconds: What each took.
        more: How a reader gets more time, to follow a sentence; empty where there is no more.
        rehearsal: Steps on a copy.
        invariant: Names of the scale-invariant weights; None while they are not measured.
    """

    measurements: dict[str, Measurement] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    more: str = ""
    rehearsal: Rehearsal | None = None
    invariant: tuple[str, ...] | None = None

    def take(self, name: str, found: Measurement | Rehearsal | tuple[str, ...]) -> None:
        """Keep what an entry of the plan gave."""
        if isinstance(found, tuple):
            self.invariant = found
            return
        if isinstance(found, Rehearsal):
            self.rehearsal, found = found, found.as_measurement()
        self.measurements[name] = found

    def get(self, name: str) -> Measurement | None:
        """Give a measurement, or None if it was not made."""
        return self.measurements.get(name)

    def figure(self, name: str, column: str) -> float | None:
        """Give the first number of a column, or None if it was not measured."""
        found = self.get(name)
        return None if found is None else found[column][0]

    def marked(self, name: str, column: str) -> tuple[str, ...]:
        """Name the rows of a measurement whose column is not zero."""
        found = self.get(name)
        if found is None:
            return ()
        return tuple(row for row, mark in zip(found.rows, found[column], strict=True) if mark)
