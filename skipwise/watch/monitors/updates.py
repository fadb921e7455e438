"""How far a step moves each weight: the update that was really made, by any rule of optimisation.

The weights are copied before the step and compared after it; no example is looked at.
"""

from collections.abc import Mapping
from typing import ClassVar, final

from torch import Tensor

from skipwise.analysis import Measurement, update_sizes
from skipwise.training import Run
from skipwise.watch.monitors.choice import Choice
from skipwise.watch.monitors.monitor import Monitor
from skipwise.watch.monitors.probe import Probe

UPDATES = "update sizes"
RATIO = "update / weight"


@final
class Updates(Monitor):
    """``update_sizes`` of the parameters that learn.

    Args:
        run: The run.
        probe: Not used.
        choice: Its options.
    """

    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {UPDATES: (RATIO,)}
    figures: ClassVar[Mapping[str, tuple[str, ...]]] = {UPDATES: ("median",)}
    needs_before: ClassVar[bool] = True

    def __init__(self, run: Run, probe: Probe, choice: Choice):
        super().__init__(run, probe, choice)
        self._before: dict[str, Tensor] = {}

    @property
    def examples(self) -> int:
        """None."""
        return 0

    def passes(self) -> float:
        """A copy and two norms of the weights."""
        return 0.1

    def prepare(self) -> None:
        """Copy the weights."""
        self._before = {name: value.clone() for name, value in self._learning().items()}

    def measure(self) -> dict[str, Measurement]:
        """Compare the weights with those of before the step."""
        now = self._learning()
        before = {name: value for name, value in self._before.items() if name in now}
        self._before = {}
        return {UPDATES: update_sizes(before, now)}

    def _learning(self) -> dict[str, Tensor]:
        named = self.run.model.named_parameters()
        return {name: p.detach() for name, p in named if p.requires_grad and p.numel()}
