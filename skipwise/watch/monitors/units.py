"""Units that never fire, and what that proves.

A unit that is silent on N examples fires for less than 3/N of all with 95 % confidence, so there
are many of them; they pass forward only.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, final

from skipwise.analysis import Measurement, units
from skipwise.diagnosis import Verdict
from skipwise.diagnosis.rules import dead_units
from skipwise.watch.monitors.judging import Recent
from skipwise.watch.monitors.monitor import Monitor

EXAMPLES = 1024
UNITS = "units"
DEAD = "dead"


@final
class Units(Monitor):
    """``units`` in training mode, where no running statistics can be in the way."""

    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {UNITS: (DEAD, "dormant", "fires")}
    figures: ClassVar[Mapping[str, tuple[str, ...]]] = {UNITS: (DEAD, "of units")}

    @property
    def examples(self) -> int:
        """So many that silence proves something, as far as there are and memory goes."""
        return self.probe.available(self.choice.examples or EXAMPLES)

    def passes(self) -> float:
        """Forward passes, a third of a step each."""
        return 0.5 * self.examples / self.probe.whole

    def measure(self) -> dict[str, Measurement]:
        """Count them."""
        batches = self.probe.batches(self.examples)
        return {UNITS: units(self.run.model, batches, training=True)}

    def verdicts(self, found: Mapping[str, Measurement], recent: Recent) -> Iterator[Verdict]:
        """Judge by V5."""
        del recent
        units = found[UNITS]
        yield dead_units(
            units=units,
            zero_gamma=_marked(units, "after zero scale"),
            after_sum=_marked(units, "after a sum"),
        )


def _marked(found: Measurement, column: str) -> tuple[str, ...]:
    """Name the rows whose column is not zero; none where it was not measured."""
    marks = found.columns.get(column, ())
    return tuple(row for row, mark in zip(found.rows, marks, strict=bool(marks)) if mark)
