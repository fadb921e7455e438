"""A session: an experiment runs in its folder, from its start or last save to its end or next stop.

The session watches the loop: it writes the journal, evaluates at the end of every epoch, keeps the
best weights, saves between steps, and reports the test score once, at the end, with the weights
that validation chose.
"""

import dataclasses
import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import torch

from skipwise.data import Dataset, without_objects
from skipwise.description import Call, write_yaml
from skipwise.experiment import UNFITTED_STEPS, Experiment, build
from skipwise.files import EXPERIMENT, LOG, METRICS, Hold, write_atomic
from skipwise.finetuning import prepared
from skipwise.provenance import conditions, facts, log_session, no_longer_exact
from skipwise.records import EvaluationRecord, NoteRecord, StepRecord
from skipwise.training import (
    Best,
    Compiling,
    Cost,
    Interrupted,
    Journal,
    Pause,
    Step,
    Target,
    Threads,
    TimeBudget,
    caught_signals,
    check_judged,
    check_step_fits,
    evaluate,
    join,
    keep_freed_memory,
    save_checkpoint,
    waiting_notes,
)
from skipwise.training import train as steps_of
from skipwise.watch import Monitors, Seen, Watch
from skipwise.weights import BEST, card_of, read_tensors, save_weights

Event: TypeAlias = Step | StepRecord | EvaluationRecord | NoteRecord


class Session:
    """One stretch of a run.

    Args:
        experiment: What is run.
        dataset: Its data, loaded.
        folder: Where the run lies; made if it is not there.
        state: The checkpoint to go on from, or None for a new run.
        change: What the experiment has other than the checkpoint: ``"length"``, else what ends it
            early (``"end"``), else any ``"setting"``, else nothing.
        started: When the clock of a time budget began, by ``time.perf_counter``; now if None.
        watch: Monitors, ``"gradients,curvature:every=500"``; None keeps those of the checkpoint.
        hold: What keeps others out of the folder, let go at the end; None if the caller does.
    """

    def __init__(
        self,
        experiment: Experiment,
        dataset: Dataset,
        folder: Path,
        state: dict[str, Any] | None = None,
        *,
        change: str = "",
        started: float | None = None,
        watch: str | None = None,
        hold: Hold | None = None,
    ):
        check_judged(experiment.patience, experiment.target, there=dataset.validation is not None)
        self.experiment, self.folder, self.hold = experiment, folder, hold or Hold(None)
        self.world = join()
        self.run, self.task = build(
            experiment, dataset, resumed=state is not None, world=self.world
        )
        self.dataset = prepared(dataset, experiment.preprocessing)
        is_plain = experiment.compile != "on" and not isinstance(experiment.network, Call)
        if state is None and is_plain:  # compiled it may keep less; the user's own is left alone
            check_step_fits(self.run, self.dataset.ends.inputs)
        wanted, higher, doublings = experiment.target, self.task.higher, experiment.doublings
        self.best = Best(metric=self.task.best_metric, higher=higher, patience=experiment.patience)
        self.target = (
            None if wanted is None else Target(value=wanted, higher=higher, doublings=doublings)
        )
        self.compiling = Compiling(self.run, experiment.compile)
        self.threads = Threads(self.run, (self.dataset.validation, self.dataset.test))
        seconds = experiment.seconds
        self.budget = None if seconds is None else TimeBudget(seconds=seconds)
        self.pause = Pause()
        self._began = time.perf_counter() if started is None else started
        self._opened = self._saved = time.perf_counter()
        self._ended: float | None = None
        self._spent, self._example_seconds = 0.0, 0.0
        self._is_new, self._news = state is None, self.run.notes if state is None else ()
        seen = (state or {}).get("watching", {"words": ""})
        self.monitors = Monitors(seen["words"] if watch is None else watch, self.run, self.task)
        if state is not None:
            self._restore(state, change)
            self.monitors.restore(seen)
        self._open(state, changed=bool(change))

    def _open(self, state: dict[str, Any] | None, *, changed: bool) -> None:
        """Open the folder for writing, in the first process."""
        experiment, folder, notes = self.experiment, self.folder, self.dataset.notes
        self.world.largest(0)  # none reads the folder any more when the first begins to write
        if self.world.is_first:
            folder.mkdir(parents=True, exist_ok=True)
            if state is None:
                self._describe()
            news = () if self._is_new else self._news
            log_session(folder / LOG, self.run.step, (*notes, *self.run.notes, *news))
        self.journal = Journal(
            folder / METRICS if self.world.is_first else None,
            size=state["journal_bytes"] if state else 0,
            epoch=self.epoch,
        )
        self.watch = Watch(
            self.run,
            self.task,
            self.dataset,
            self.journal,
            folder if self.world.is_first else None,
            {**facts(experiment, self.dataset, self.run, self.task), **self.monitors.facts},
            clock=lambda: self.elapsed,
        )
        if state is not None and changed and self.run.step < self.run.steps:
            self.save()  # killed later, its new description would stand beside an old length
            if self.world.is_first:
                self._describe()

    def _describe(self) -> None:
        named = dataclasses.replace(self.experiment, data=without_objects(self.experiment.data))
        write_atomic(self.folder / EXPERIMENT, write_yaml(named).encode())

    def epoch(self, step: int) -> float:
        """Give the passes over the training part after so many updates."""
        return step * self.run.batches.size / len(self.dataset.train)

    @property
    def elapsed(self) -> float:
        """Seconds of this and all earlier sessions."""
        return self._spent + (self._ended or time.perf_counter()) - self._opened

    def events(self) -> Generator[Event, None, None]:
        """Train to the end, yielding every step and everything that was measured.

        Raises:
            Interrupted: After a signal; the run is saved.
            Diverged: If the loss is not finite, or the guard gives up; the last good save stays.
        """
        keep_freed_memory()
        with (
            closing(self.hold),
            caught_signals() as signals,
            closing(self.journal),
            closing(self.run.batches),
            self.watch.ending(self.hold),
            self.threads.shared() as shares,
        ):
            if shares:
                yield from self._note(shares)
            for text in self._news:
                yield from self._note(text)
            if self._is_new:
                self.save()  # a full disk shows before the work; a journal never lacks its save
            for text in self.compiling.begin():
                yield from self._note(text)
            yield from self._seen(self.monitors.begin())
            for step in self.pause.until(self.run, steps_of(self.run)):
                step = self.watch.step(step)
                read = self.journal.step(step)  # a caller who leaves at this step leaves it written
                yield step
                yield from read
                for text in (*step.notes, *self.compiling.after(step)):
                    yield from self._note(text, returned=step.returned and text == step.notes[-1])
                yield from self._seen(self.monitors.after(step))
                came, is_due, steps = self.world.largest(
                    _first(signals), self._save_is_due(), self._fitted(step)
                )
                yield from self._lengthen(steps)
                if self._ends_epoch(step.step) or step.step == self.run.steps:
                    yield from self._evaluate()
                    came, is_due = self.world.largest(max(came, _first(signals)), 0)
                if came or is_due:
                    yield from self.journal.read()
                    self.save()
                if came:
                    raise Interrupted(came, str(self.folder))
            yield from self._pause() if self.pause.is_due(self.run) else self._finish()
            self._ended = time.perf_counter()

    def _pause(self) -> Iterator[Event]:
        yield from self.journal.read()
        record = self._measure("validation")
        self.pause.score = record.metrics[self.best.metric]
        yield record
        self.save()

    def save(self) -> None:
        """Save between two steps.

        Raises:
            Diverged: If a loss or a parameter is not finite; nothing is written then.
            OSError: If it cannot be written; the save before stays.
        """
        started = time.perf_counter()
        self.journal.read()
        if not self.run.is_finite():
            raise self.run.diverged(math.nan, "a weight, statistic or state is not finite")
        self.watch.write()
        self.journal.flush()
        state = {
            "run": self.run.state(),
            "best": self.best.state(),
            "budget": self.budget.state(time.perf_counter() - self._began) if self.budget else None,
            "compiling": self.compiling.state(),
            "threads": self.threads.state(),
            "target": self.target.state() if self.target else None,
            "watching": self.monitors.state(),
            "journal_bytes": self.journal.size,
            "seconds": self.elapsed,
            "data": self.dataset.digest,
            **conditions(self.run),
        }
        if self.world.is_first:
            save_checkpoint(self.folder, state)
        self._saved = time.perf_counter()
        self.watch.saved(self._saved - started)

    def _restore(self, state: dict[str, Any], change: str) -> None:
        if state["data"] != self.dataset.digest:
            raise ValueError(
                f"the data of {self.folder} changed since it was trained;"
                " give them back, or train anew"
            )
        self._news = no_longer_exact(state, self.run, self.experiment)
        planned = self.run.steps
        self.run.restore(state["run"])
        # An old save does not name its metric, which was that of the task.
        self.best.restore({"metric": type(self.task).best_metric, **state["best"]})
        self._spent = state["seconds"]
        self.threads.restore(state.get("threads", {"decided": None}))
        self.compiling.restore(state.get("compiling", {"decided": False}))
        if self.target is not None and state.get("target"):
            self.target.restore(state["target"])
        if self.budget is not None:
            self.budget.restore(state["budget"] or {"spent": self._spent, "last_fit": 0.0})
        if change == "length" or (change == "end" and self.run.step == self.run.steps):
            later = max(planned, self.run.step)
            self.run.steps = later if self.budget is None else self.run.step + UNFITTED_STEPS
            self.best.since = 0

    def _ends_epoch(self, step: int) -> bool:
        """Say whether to evaluate: each epoch, or so seldom that training sees as many examples."""
        held, train = len(self.dataset.validation or ()), len(self.dataset.train)
        every = max(math.ceil(held / train), 1)
        if self.target is not None and self.budget is None:  # from an end that stays where it is
            return (self.run.steps - step + 1e-9) % (every / self.epoch(1)) < 1
        now, before = (math.floor(self.epoch(s) / every + 1e-9) for s in (step, step - 1))
        return now > before

    def _save_is_due(self) -> bool:
        since = time.perf_counter() - self._saved
        return self.world.is_first and since > self.experiment.save_seconds

    def _fitted(self, step: Step) -> int:
        """Give the number of steps that fits into the time budget by the first process's clock."""
        if self.budget is None or not self.world.is_first:
            return 0
        validation, test = (len(p or ()) for p in (self.dataset.validation, self.dataset.test))
        cost = Cost(
            step=step.seconds,
            examples=step.examples,
            between=validation * step.examples / len(self.dataset.train),
            end=validation + test,
            example_seconds=self._example_seconds,
        )
        elapsed = time.perf_counter() - self._began
        return self.budget.fit(step.step, self.run.steps, elapsed=elapsed, cost=cost)

    def _lengthen(self, fitted: int) -> Iterator[NoteRecord]:
        if self.budget is not None and fitted != self.run.steps:
            self.run.steps = fitted
            yield from self._note(self.budget.told(self.run.step, fitted, self.epoch(fitted)))

    def _evaluate(self) -> Iterator[Event]:
        yield from self.journal.read()
        part = self.dataset.validation
        if part is None:
            self.run.evaluated()  # what is examined is as it would be scored
        else:
            record = self._measure("validation")
            self._example_seconds = record.seconds / len(part)
            if not math.isfinite(record.metrics["loss"]) and self.run.guard is not None:
                for text in self.run.guard.turn_back("the loss on validation data is not finite"):
                    yield from self._note(text, returned=True)
                record = self._measure("validation")
            self.journal.write(dataclasses.replace(record, per_class={}))
            yield record
            if not math.isfinite(record.metrics["loss"]):
                raise self.run.diverged(record.metrics["loss"])
            if self.best.improves(record):
                self._save_best()
                self.watch.keep(record)
            yield from self._aim(record.metrics[self.best.metric])
            if self.best.gives_up and self.run.step < self.run.steps:
                self.run.steps = self.run.step
                since = f"{self.best.since} evaluations without a better one"
                yield from self._note(f"stopped early: {since}")
        self.watch.blocks()
        self.save()

    def _aim(self, value: float) -> Iterator[NoteRecord]:
        """Make the run as long as its target asks."""
        if self.target is None:
            return
        steps, asked = self.run.steps, f"the target {self.target.value:g} of {self.best.metric}"
        self.run.steps = self.target.length(self.run.step, steps, now=value, best=self.best.value)
        if self.target.is_reached(value):
            yield from self._note(f"{asked} is reached after {self.elapsed:.1f} s")
        elif self.run.steps > steps:
            yield from self._note(f"{asked} is not reached: twice as long, {self.run.steps} steps")
        elif self.run.step == steps:
            yield from self._note(f"{asked} is not reached; the best is {self.best.value:.4f}")

    def _measure(self, part: str, model: torch.nn.Module | None = None) -> EvaluationRecord:
        started = time.perf_counter()  # the statistics of averaged weights are a part of it
        examples = {"validation": self.dataset.validation, "test": self.dataset.test}[part]
        assert examples is not None
        record = evaluate(
            self.run.evaluated() if model is None else model,
            examples,
            self.dataset.preprocessing,
            self.watch.witness(),
            part=part,
            step=self.run.step if part == "validation" else self.best.step or self.run.step,
            autocast=self.run.autocast,
            views=self.experiment.views,
            world=self.world,
        )
        return dataclasses.replace(record, seconds=time.perf_counter() - started)

    def _save_best(self) -> None:
        weights, dataset = self.run.chosen_weights(), self.dataset
        if not self.world.is_first:
            return
        card = card_of(
            self.experiment.network,
            dataset.ends,
            task=dataset.task,
            classes=dataset.classes,
            preprocessing=dataset.preprocessing,
            data=dataset.name,
            views=self.experiment.views,
            digest=dataset.digest,
            raw=dataset.raw,
        )
        save_weights(self.folder / BEST, weights, card)

    def _finish(self) -> Iterator[Event]:
        guarded = () if self.run.guard is None else self.run.guard.notes()
        for text in (*self.run.chain.notes(), *guarded):
            yield from self._note(text)
        if self.dataset.validation is None:
            self.run.evaluated()
            self._save_best()
        if self.dataset.test is not None:
            best = read_tensors(self.folder / BEST)[0] if self.world.is_first else {}
            with self.run.with_weights(self.world.broadcast(best)) as chosen:
                record = self._measure("test", chosen)
            self.journal.write(record)
            self.watch.keep(record)
            yield record
        for text in waiting_notes(self.journal.write_table(), self.run.batches):
            yield from self._note(text)

    def _seen(self, events: Iterator[Seen]) -> Iterator[NoteRecord]:
        for event in events:
            self.journal.write(event)
            if isinstance(event, NoteRecord):
                yield event

    def _note(self, text: str, *, returned: bool = False) -> Iterator[NoteRecord]:
        note = NoteRecord(step=self.run.step, text=text, returned=returned)
        self.journal.write(note)
        yield note


def _first(signals: list[int]) -> int:
    return signals[0] if signals else 0
