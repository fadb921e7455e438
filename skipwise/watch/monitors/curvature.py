"""The curvature that a step meets, against the largest at which the rule of optimisation is stable.

Batch sharpness depends on the size of the batch, so it is measured on a batch of the size that is
trained with, unless the user says otherwise; then nothing is judged.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, final

from torch.optim import Optimizer

from skipwise.analysis import Measurement, Rule, batch_sharpness, hessian_spectrum
from skipwise.diagnosis import Verdict
from skipwise.diagnosis.rules import stability
from skipwise.strategies import SGD, SGDW, Adam, AdamW
from skipwise.training import Run
from skipwise.watch.monitors.judging import Recent
from skipwise.watch.monitors.monitor import Monitor

SHARPNESS, SPECTRUM = "batch sharpness", "spectrum"
SEEN, LIMIT, RATIO = "seen by the optimiser", "limit of stability", "seen / limit"


@final
class Curvature(Monitor):
    """``batch_sharpness``, and if asked for ``hessian_spectrum`` with the largest eigenvalue."""

    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {SPECTRUM: ("value", "bound")}
    figures: ClassVar[Mapping[str, tuple[str, ...]]] = {
        SHARPNESS: (SHARPNESS, SEEN, LIMIT, RATIO),
        SPECTRUM: (SEEN, LIMIT, RATIO),
    }

    @property
    def examples(self) -> int:
        """How many it looks at."""
        return min(self.choice.examples or self.probe.whole, self.probe.whole)

    def passes(self) -> float:
        """A gradient, one that can be differentiated again, and products with the Hessian."""
        return (80 if self.choice.top else 6) * self.examples / self.probe.whole

    def measure(self) -> dict[str, Measurement]:
        """Measure it."""
        model, loss, rule = self.run.model, self.probe.loss, rule_of(self.run)
        batches = self.probe.batches(self.examples)
        found = {SHARPNESS: batch_sharpness(model, batches, loss, optimiser=rule)}
        if self.choice.top:
            found[SPECTRUM] = hessian_spectrum(model, batches, loss, probes=0, optimiser=rule)
        return found

    def verdicts(self, found: Mapping[str, Measurement], recent: Recent) -> Iterator[Verdict]:
        """Judge by V4, if the batch is as large as those that are trained with."""
        batches = self.run.batches
        if self.examples == batches.size:
            yield stability(
                spectrum=found.get(SPECTRUM),
                sharpness=found[SHARPNESS],
                history=recent.history(),
                full_batch=SPECTRUM in found and batches.size == len(batches.examples),
            )


def rule_of(run: Run) -> Rule | Optimizer | None:
    """Give the rule whose limit of stability is known, with the rate of the next step, or None.

    Gradient descent is a rule in plain numbers; Adam is the optimiser with its preconditioner,
    which there is none of before the first step, and the rate of the step that was taken.
    """
    chosen, decay = run.strategy.optimiser, run.strategy.weight_decay
    factor = max(group.get("factor", 1.0) for group in run.optimiser.param_groups)
    rate = run.rate * factor
    if not rate > 0:
        return None
    if isinstance(chosen, SGD | SGDW):
        return Rule(
            rate=rate,
            momentum=chosen.momentum,
            nesterov=chosen.nesterov,
            decay=decay if isinstance(chosen, SGDW) else 0.0,
        )
    if isinstance(chosen, Adam | AdamW) and run.step:
        return run.optimiser
    return None
