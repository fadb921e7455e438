"""The monitors of a run: each measures when its pace says so, between two steps.

They change nothing: every measurement puts back what it touched, the probe is made anew from seed
and step, and the model that is measured is the eager one, also where training computes compiled.
"""

from collections.abc import Iterator
from time import perf_counter
from typing import Any, TypeAlias, final

import torch
from torch import nn

from skipwise.diagnosis import Reader, Verdict
from skipwise.diagnosis.finiteness import finiteness
from skipwise.diagnosis.rules import finite
from skipwise.networks import Network
from skipwise.records import MeasureRecord, NoteRecord
from skipwise.tasks import Task
from skipwise.training import Run, Step
from skipwise.watch.monitors.choice import (
    CURVATURE,
    GRADIENTS,
    NORMALISATION,
    UNITS,
    UPDATES,
    choices,
)
from skipwise.watch.monitors.curvature import Curvature
from skipwise.watch.monitors.gradients import Gradients
from skipwise.watch.monitors.judging import Judge, Recent, Said
from skipwise.watch.monitors.monitor import Monitor
from skipwise.watch.monitors.normalisation import Normalisation
from skipwise.watch.monitors.pace import AIM, KEPT, SHARE, Pace, Spent
from skipwise.watch.monitors.probe import Probe
from skipwise.watch.monitors.units import Units
from skipwise.watch.monitors.updates import Updates

KINDS: dict[str, type[Monitor]] = {
    GRADIENTS: Gradients,
    CURVATURE: Curvature,
    UNITS: Units,
    UPDATES: Updates,
    NORMALISATION: Normalisation,
}
FEW = 16  # examples, to see where numbers are not finite
SAID_AFTER = 3  # measurements, until a cost is worth saying
Seen: TypeAlias = MeasureRecord | Said


@final
class Monitors:
    """What a run is watched by, beside the watch that is always there.

    Of several processes the first measures its own replica.

    Args:
        words: Names and options, see :func:`choices`; empty watches nothing.
        run: The run.
        task: What is learned.

    Raises:
        ValueError: If the words are wrong, or the run cannot be watched so.
    """

    def __init__(self, words: str, run: Run, task: Task):
        self.words, self.run = words, run
        chosen = choices(words)
        if chosen:
            _check(run)
        self.probe = Probe(run, task)
        monitors = {c.name: KINDS[c.name](run, self.probe, c) for c in chosen}
        self.monitors = monitors if run.world.is_first else {}
        alone = sum(choice.every is None for choice in chosen)
        self.paces = {
            name: Pace(
                every=monitor.choice.every, share=AIM * SHARE / max(alone, 1), passes=monitor.passes
            )
            for name, monitor in self.monitors.items()
        }
        dtype = str(next(run.model.parameters()).dtype).removeprefix("torch.")
        self.recent = Recent(batch_size=run.batches.size, dtype=dtype)
        reader = Reader.RUN if isinstance(run.model, Network) else Reader.OWN
        self.spent, self.judge = Spent(), Judge(reader)
        self._ready: set[str] = set()  # those that hold the weights of before a step
        self._said: set[str] = set()  # what is said once in a run

    @property
    def facts(self) -> dict[str, str]:
        """What the report should say of it."""
        return {"watch": self.words} if self.words else {}

    def begin(self) -> Iterator[Seen]:
        """Measure before the first step of a session what has not been measured there."""
        if not self.monitors or self.run.step >= self.run.steps:
            return
        self.run.begin_training()
        yield from self._measured(moved=False)

    def after(self, step: Step) -> Iterator[Seen]:
        """Measure after a step what is due; its cost is no part of the step's time.

        Args:
            step: The step, while its gradient is there.
        """
        if not self.monitors:
            return
        self.spent.add(step.seconds)
        self.recent.add(step)
        # A guard that refuses a step, or returns to an earlier state, makes no update.
        yield from self._measured(moved=not step.skipped and not step.notes)
        if self.run.step >= self.run.steps:
            yield from self._told_at_the_end()

    def _told_at_the_end(self) -> Iterator[NoteRecord]:
        """Say what was asked for and never measured, or few times and was dear."""
        for name, pace in self.paces.items():
            yield from self._cost(name, pace)
            if pace.count:
                continue
            steps, why = self.run.steps, f"every {pace.every} steps is beyond the run's"
            if pace.every is None:
                why = f"it costs about {pace.passes():.3g} steps, more than is left for it in"
            yield from self._once(
                f"{name} was not measured: {why} {steps:,};"
                f" {name}:every={steps // 2 or 1} asks for it whatever it costs",
                of=f"no {name}",
            )

    def _measured(self, *, moved: bool) -> Iterator[Seen]:
        for name, monitor in self.monitors.items():
            pace = self.paces[name]
            if not monitor.needs_before:
                if self._is_due(pace, self.run.step):
                    yield from self._measure(name)
                continue
            if name in self._ready and moved:
                yield from self._measure(name)
            self._ready.discard(name)
            if self._is_wanted_next(pace):
                monitor.prepare()
                self._ready.add(name)

    def _is_wanted_next(self, pace: Pace) -> bool:
        """Whether the step that follows is to be measured, for which the weights are kept."""
        return self.run.step < self.run.steps and self._is_due(pace, self.run.step + 1)

    def _is_due(self, pace: Pace, step: int) -> bool:
        steps, spent = self.run.steps, self.spent
        alone = [p for p in self.paces.values() if p.every is None]
        planned = sum(p.planned(steps, spent) for p in self.paces.values()) / max(len(alone), 1)
        held = min(planned, (1 - KEPT) * pace.share * spent.mean * steps)
        others = [p.left_over(steps, spent, held) for p in alone if p is not pace]
        return pace.is_due(step, steps, spent, sum(others) / max(len(others), 1) - held)

    def _measure(self, name: str) -> Iterator[Seen]:
        monitor, pace, step = self.monitors[name], self.paces[name], self.run.step
        _wait_for(self.run.model)
        began = perf_counter()
        try:
            found = monitor.measure()
            verdicts = list(monitor.verdicts(found, self.recent))
        except Exception as error:  # hours of training must not end by what watches them
            pace.measured(step, perf_counter() - began)
            yield from self._once(f"{name} could not be measured: {error}", of=name)
            yield from self.judge.told(step, self._broken())
            return
        seconds = perf_counter() - began
        pace.measured(step, seconds)
        yield from monitor.records(step, found, seconds)
        yield from self.judge.told(step, verdicts)
        yield from self._cost(name, pace)

    def _broken(self) -> Iterator[Verdict]:
        """Judge by V0 whether that was because numbers are not finite, and where they began."""
        losses = self.recent.history().taken_losses
        try:
            (batch,) = self.probe.batches(min(FEW, self.probe.whole))
            seen = finiteness(self.run.model, batch, self.probe.loss)
        except Exception:  # the memory is full, for example: nothing of it may end a training
            seen = None
        yield finite(finiteness=seen, loss=losses[-1] if losses else None)

    def _cost(self, name: str, pace: Pace) -> Iterator[NoteRecord]:
        """Say what it costs to measure as often as was asked for, if it is much."""
        is_early = pace.count < SAID_AFTER and self.run.step < self.run.steps
        if pace.every is None or is_early or not self.spent.seconds:
            return
        share = pace.seconds / self.spent.seconds
        if share > SHARE:
            yield from self._once(
                f"{name} every {pace.every} steps has taken {100 * share:.0f} % of the step time"
                f" up to step {self.run.step};"
                f" without every= all monitors together stay below {100 * SHARE:.0f} %",
                of=f"cost of {name}",
            )

    def _once(self, text: str, *, of: str) -> Iterator[NoteRecord]:
        if of not in self._said:
            self._said.add(of)
            yield NoteRecord(step=self.run.step, text=f"watch: {text}")

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint must hold."""
        return {
            "words": self.words,
            "paces": {name: pace.state() for name, pace in self.paces.items()},
            "spent": (self.spent.steps, self.spent.seconds),
            "judge": self.judge.state(),
            "recent": self.recent.state(),
            "said": sorted(self._said),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state; monitors that were not there before begin now."""
        if "paces" not in state:  # a run of before there were monitors
            return
        for name, pace in self.paces.items():
            if name in state["paces"]:
                pace.restore(state["paces"][name])
        self.spent.steps, self.spent.seconds = state["spent"]
        self.judge.restore(state["judge"])
        self.recent.restore(state["recent"])
        self._said = set(state["said"])


def _check(run: Run) -> None:
    """Refuse what one process cannot measure alone.

    Raises:
        ValueError: If parameters or statistics are spread over several processes.
    """
    if run.is_sharded:
        raise ValueError(
            "--watch measures whole parameters, and --shard leaves each process a share of them;"
            " leave one of them out"
        )
    if any(isinstance(module, nn.SyncBatchNorm) for module in run.model.modules()):
        raise ValueError(
            "--watch measures in one process, and --sync-norms takes statistics from all of them;"
            " leave one of them out"
        )


def _wait_for(model: nn.Module) -> None:
    """Wait for a device, so that the step before is not counted as the probe's time."""
    device = next((p.device for p in model.parameters()), None)
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
