"""Whether the statistics that BatchNorm has stored are those of what enters it."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, final

from skipwise.analysis import Measurement, normalisation
from skipwise.analysis.problem import BATCH_NORM
from skipwise.diagnosis import Verdict
from skipwise.diagnosis.rules import batch_statistics
from skipwise.training import Run
from skipwise.watch.monitors.choice import Choice
from skipwise.watch.monitors.judging import Recent
from skipwise.watch.monitors.monitor import Monitor
from skipwise.watch.monitors.probe import Probe

NORMALISATION = "normalisation"
GAP, SHIFT, VARIANCE_RATIO = "relative gap", "shift", "variance ratio"


@final
class Normalisation(Monitor):
    """``normalisation`` on a training batch.

    Args:
        run: The run.
        probe: The examples it may look at.
        choice: Its options.

    Raises:
        ValueError: If the network has no BatchNorm with running statistics, or is evaluated with
            others.
    """

    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {
        NORMALISATION: (SHIFT, VARIANCE_RATIO, "settled")
    }
    figures: ClassVar[Mapping[str, tuple[str, ...]]] = {
        NORMALISATION: (GAP, "loss in evaluation mode", "loss in training mode")
    }

    def __init__(self, run: Run, probe: Probe, choice: Choice):
        super().__init__(run, probe, choice)
        norms = [module for module in run.model.modules() if isinstance(module, BATCH_NORM)]
        if not any(norm.running_mean is not None for norm in norms):
            raise ValueError(
                "--watch normalisation compares the running statistics of BatchNorm, and this"
                " network has none; leave it out"
            )
        if run.strategy.searches:
            raise ValueError(
                "--watch normalisation examines statistics that a run by a line search is not"
                " evaluated with; leave it out"
            )

    @property
    def examples(self) -> int:
        """A batch of the size that the statistics are taken from, or what the user says."""
        return self.probe.available(self.choice.examples or self.probe.whole)

    def passes(self) -> float:
        """Two forward passes, and sums over everything that enters a norm."""
        return self.examples / self.probe.whole

    def measure(self) -> dict[str, Measurement]:
        """Compare them."""
        batches = self.probe.batches(self.examples)
        return {NORMALISATION: normalisation(self.run.model, batches, self.probe.loss)}

    def verdicts(self, found: Mapping[str, Measurement], recent: Recent) -> Iterator[Verdict]:
        """Judge by V11."""
        peak = max(recent.peak_rate, self.run.strategy.peak_lr)
        share = recent.last_rate / peak if peak > 0 else None
        yield batch_statistics(normalisation=found[NORMALISATION], rate_share=share)
