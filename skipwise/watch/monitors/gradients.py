"""The gradient and the signal through the depth, and what each block's skip and branch bring back.

Needs a network with blocks. Small batches suffice: the columns are ratios or means over channels
and positions.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, final

from skipwise.analysis import Measurement, find_sites, gradient_split, signal
from skipwise.diagnosis import Verdict, blocks_have_norms
from skipwise.diagnosis.rules import depth
from skipwise.training import Run
from skipwise.watch.monitors.choice import Choice
from skipwise.watch.monitors.judging import Recent
from skipwise.watch.monitors.monitor import Monitor
from skipwise.watch.monitors.probe import Probe

EXAMPLES = 8
SIGNAL, SPLIT = "signal", "gradient split"
GRADIENT_NORM, SECOND_MOMENT, BRANCH_SHARE = "gradient norm", "second moment", "branch share"


@final
class Gradients(Monitor):
    """``signal`` and ``gradient_split`` in training mode.

    Args:
        run: The run.
        probe: The examples it may look at.
        choice: Its options.

    Raises:
        ValueError: If the network has no blocks.
    """

    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {
        SIGNAL: (GRADIENT_NORM, "gradient size", SECOND_MOMENT, "correlation"),
        SPLIT: (BRANCH_SHARE, "energy ratio", "sum error"),
    }

    def __init__(self, run: Run, probe: Probe, choice: Choice):
        super().__init__(run, probe, choice)
        try:
            self.sites = find_sites(run.model)
        except ValueError as error:
            raise ValueError(
                "--watch gradients follows the gradient from block to block, and this network has"
                " no blocks that repeat; leave it out, or build the network of Residual blocks"
            ) from error

    @property
    def examples(self) -> int:
        """Few: see above."""
        return min(self.choice.examples or EXAMPLES, self.probe.whole)

    def passes(self) -> float:
        """Two passes, the second taken apart block by block; small batches are slow."""
        return 8 * self.examples / self.probe.whole

    def measure(self) -> dict[str, Measurement]:
        """Measure both."""
        (batch,) = self.probe.batches(self.examples)
        return {
            SIGNAL: signal(self.run.model, batch, self.probe.loss, sites=self.sites),
            SPLIT: gradient_split(self.run.model, batch, self.probe.loss, sites=self.sites),
        }

    def verdicts(self, found: Mapping[str, Measurement], recent: Recent) -> Iterator[Verdict]:
        """Judge by V1."""
        del recent
        normed = blocks_have_norms(self.run.model, self.sites)
        yield depth(signal=found[SIGNAL], trained=self.run.step > 0, normed=normed)
