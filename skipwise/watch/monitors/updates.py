"""How far a step moves each weight: the update that was really made, by any rule of optimisation.

The weights are copied before the step and compared after it; examples are only looked at once, to
see which weights have no length that matters.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from skipwise.analysis import Measurement, scale_invariant_weights, update_sizes
from skipwise.diagnosis import Moved, Rehearsal, Verdict
from skipwise.diagnosis.rules import lost_updates, rate
from skipwise.strategies import SGD
from skipwise.training import Run
from skipwise.watch.monitors.choice import Choice
from skipwise.watch.monitors.judging import Recent
from skipwise.watch.monitors.monitor import Monitor
from skipwise.watch.monitors.probe import Probe

UPDATES = "update sizes"
RATIO = "update / weight"
JUDGED = 5  # steps, of which the median is judged
EXAMPLES = 8


@final
class Updates(Monitor):
    """``update_sizes`` of the parameters that learn.

    Args:
        run: The run.
        probe: The examples it may look at.
        choice: Its options.
    """

    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {UPDATES: (RATIO,)}
    figures: ClassVar[Mapping[str, tuple[str, ...]]] = {UPDATES: ("median",)}
    needs_before: ClassVar[bool] = True

    def __init__(self, run: Run, probe: Probe, choice: Choice):
        super().__init__(run, probe, choice)
        self._before: dict[str, Tensor] = {}
        self._taken: deque[dict[str, tuple[float, float, float]]] = deque(maxlen=JUDGED)

    @property
    def examples(self) -> int:
        """None, but for what is found out once."""
        return 0

    def passes(self) -> float:
        """A copy and some norms of the weights; what is found out once comes with the first."""
        return 0.2

    @cached_property
    def invariant(self) -> tuple[str, ...]:
        """The weights whose length does not matter, which settle at a ratio of their own."""
        batches = self.probe.batches(min(EXAMPLES, self.probe.whole))
        return scale_invariant_weights(self.run.model, batches, self.probe.loss)

    def prepare(self) -> None:
        """Copy the weights."""
        self._before = {name: p.detach().clone() for name, p in self._learning().items()}

    def measure(self) -> dict[str, Measurement]:
        """Compare the weights with those of before the step."""
        now = {name: p for name, p in self._learning().items() if name in self._before}
        before = {name: self._before[name] for name in now}
        measured = update_sizes(before, now, invariant=self.invariant)
        ratios = dict(zip(measured.rows, measured[RATIO], strict=True))
        self._taken.append({
            name: (ratios[name], *_unmoved(before[name], parameter))
            for name, parameter in now.items()
        })
        self._before = {}
        return {UPDATES: measured}

    def verdicts(self, found: Mapping[str, Measurement], recent: Recent) -> Iterator[Verdict]:
        """Judge by V2 and V3, from the last steps that were measured."""
        lengths = dict(zip(found[UPDATES].rows, found[UPDATES]["weight"], strict=True))
        last = self._rehearsal(lengths, recent)
        peak = max(recent.peak_rate, self.run.strategy.peak_lr)  # before it, in a warm-up
        yield lost_updates(rehearsal=last, peak_rate=peak)
        yield rate(
            rehearsal=last,
            invariant=self.invariant,
            trained_steps=self.run.step,
            peak_rate=peak,
        )

    def _rehearsal(self, lengths: Mapping[str, float], recent: Recent) -> Rehearsal:
        """Give the measured steps in the form in which those that are tried are judged."""
        parameters = self._learning()
        groups = {
            id(p): group for group in self.run.optimiser.param_groups for p in group["params"]
        }
        moved = {
            name: self._moved(name, parameters[name], groups[id(parameters[name])], length)
            for name, length in lengths.items()
        }
        losses = recent.history().losses[-len(self._taken) :]
        return Rehearsal(losses=losses, moved=moved, rate=recent.last_rate)

    def _moved(
        self, name: str, parameter: nn.Parameter, group: Mapping[str, Any], length: float
    ) -> Moved:
        seen = [taken[name] for taken in self._taken if name in taken]
        descends = isinstance(self.run.strategy.optimiser, SGD)
        return Moved(
            ratios=tuple(ratio for ratio, _, _ in seen),
            length=length,
            dimensions=parameter.dim(),
            dtype=str(parameter.dtype).removeprefix("torch."),
            unmoved=seen[-1][1],
            gradient=seen[-1][2],
            rate=group["lr"],
            momentum=group["momentum"] if descends else math.nan,
            decay=group["weight_decay"] if descends else math.nan,
        )

    def _learning(self) -> dict[str, nn.Parameter]:
        named = self.run.model.named_parameters()
        return {name: p for name, p in named if p.requires_grad and p.numel()}


def _unmoved(before: Tensor, parameter: nn.Parameter) -> tuple[float, float]:
    """Give the share of numbers that stayed though they have a gradient, and the gradient's RMS."""
    if parameter.grad is None:
        return math.nan, 0.0
    pulled = parameter.grad != 0
    stayed = (before == parameter.detach()) & pulled
    share = stayed.sum() / pulled.sum()
    size = torch.linalg.vector_norm(parameter.grad.double()) / math.sqrt(parameter.numel())
    return share.item(), size.item()
