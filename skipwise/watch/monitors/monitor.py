"""The contract of a monitor: what it measures on a run between two steps, and what is written."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

from skipwise.analysis import Measurement
from skipwise.diagnosis import Verdict
from skipwise.records import MeasureRecord
from skipwise.training import Run
from skipwise.watch.monitors.choice import Choice
from skipwise.watch.monitors.judging import Recent
from skipwise.watch.monitors.probe import Probe

WATCH = "watch"  # what the names of its records begin with


class Monitor(ABC):
    """Measures a run and leaves it as it is.

    ``columns`` and ``figures`` name, measurement by measurement, what of it is written.
    ``needs_before`` says whether it compares the weights before and after a step: then
    :meth:`prepare` is called between the two steps before it.

    Args:
        run: The run.
        probe: The examples it may look at.
        choice: Its options.
    """

    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    figures: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    needs_before: ClassVar[bool] = False

    def __init__(self, run: Run, probe: Probe, choice: Choice):
        self.run, self.probe, self.choice = run, probe, choice

    @property
    @abstractmethod
    def examples(self) -> int:
        """How many it looks at; 0 where it looks at weights only."""

    @abstractmethod
    def passes(self) -> float:
        """What a measurement costs at most, in steps, by counting passes over the examples."""

    @abstractmethod
    def measure(self) -> dict[str, Measurement]:
        """Measure, by short names as a diagnosis has them.

        Raises:
            ValueError: If it cannot be measured; the message says why.
        """

    @abstractmethod
    def verdicts(self, found: Mapping[str, Measurement], recent: Recent) -> Iterator[Verdict]:
        """Say what it means, by the rules of a diagnosis.

        Args:
            found: What :meth:`measure` gave just now.
            recent: The last steps of the run.
        """

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Get ready for the step that follows."""

    def records(
        self, step: int, found: Mapping[str, Measurement], seconds: float
    ) -> Iterator[MeasureRecord]:
        """Give what the journal holds of a measurement: its cost, its columns, its figures.

        Args:
            step: After which it was made.
            found: What :meth:`measure` gave.
            seconds: What it took.
        """
        name = f"{WATCH} {self.choice.name}"
        cost = {"examples": float(self.examples), "seconds": shortened(seconds)}
        yield MeasureRecord(step=step, name=name, values=cost)
        for short, measurement in found.items():
            for column in self.columns.get(short, ()):
                pairs = zip(measurement.rows, measurement[column], strict=True)
                values = {row: shortened(value) for row, value in pairs}
                yield MeasureRecord(step=step, name=f"{name}: {column}", values=values)
            wanted = [f for f in self.figures.get(short, ()) if f in measurement.figures]
            if wanted:
                values = {figure: shortened(measurement.figures[figure]) for figure in wanted}
                yield MeasureRecord(step=step, name=f"{name}: {short}", values=values)


def shortened(value: float) -> float:
    """Leave out digits that nobody needs.

    >>> shortened(0.123456789)
    0.12346
    """
    return float(f"{value:.5g}")
