"""What a session measures beside the training: when, of what, and where it is written."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from skipwise.data import Dataset, Examples
from skipwise.files import EVIDENCE, Hold, write_atomic
from skipwise.randomness import seeded
from skipwise.records import (
    EvaluationRecord,
    Evidence,
    MeasureRecord,
    evidence_from_text,
    evidence_to_text,
)
from skipwise.tasks import Task
from skipwise.training import (
    Diverged,
    Interrupted,
    Journal,
    Run,
    Step,
    is_loss_of_another,
)
from skipwise.watch.gradients import layer_norms, layers_of
from skipwise.watch.hits import Hits
from skipwise.watch.shares import branch_shares
from skipwise.watch.witness import Witness

MEASUREMENTS = 200  # of the gradient, in one run
PROBE = 32  # examples that branch shares are measured on
ANOTHER_ENDED = "another process of this run ended"


@final
class Watch:
    """Measures a run and leaves its state as it is.

    Args:
        run: The run; its loss counts right answers from now on.
        task: What is learned.
        dataset: Its data, prepared.
        journal: Where measurements are written.
        folder: Where the evidence is written; None writes nothing, as in every process but the
            first.
        facts: What the report should say of the run; plain values.
        clock: Gives the seconds of the run until now, of this and all earlier sessions.
    """

    def __init__(
        self,
        run: Run,
        task: Task,
        dataset: Dataset,
        journal: Journal,
        folder: Path | None,
        facts: Mapping[str, Any],
        clock: Callable[[], float],
    ):
        self.run, self.task, self.dataset = run, task, dataset
        self.journal, self.path = journal, folder and folder / EVIDENCE
        self._facts, self._clock = facts, clock
        self._hits = Hits(run.loss, task)
        run.loss = self._hits
        self._layers = {} if run.is_sharded else layers_of(run.model)
        self._waiting: list[tuple[int, Tensor]] = []
        self._saving: MeasureRecord | None = None
        self._witness = Witness(task, run.world)
        self._parts = dict(_evidence_in(self.path)) if self.path and run.step else {}

    def step(self, step: Step) -> Step:
        """Measure an update while its gradient is there; give it with the batch's accuracy."""
        if self._layers and _is_due(step.step, self.run.steps):
            self._waiting.append((step.step, layer_norms(list(self._layers.values()))))
        return replace(step, accuracy=self._hits.take())

    def write(self) -> None:
        """Bring what was measured since the last save into the journal, before the next one."""
        if self._saving is not None:
            self.journal.write(self._saving)
            self._saving = None
        self._write_norms()

    def _write_norms(self) -> None:
        waiting, self._waiting = self._waiting, []
        for step, norms in waiting:
            values = dict(zip(self._layers, map(_short, norms.tolist()), strict=True))
            self.journal.write(MeasureRecord(step=step, name="gradient norm", values=values))

    def saved(self, seconds: float) -> None:
        """Note how long a save took; the journal has it from the next save on, if there is one."""
        values = {"seconds": round(seconds, 6)}
        self._saving = MeasureRecord(step=self.run.step, name="saving", values=values)

    def blocks(self) -> None:
        """Measure the branches of the model that was evaluated, on examples that stay the same."""
        if self.run.is_sharded:
            return
        shares = branch_shares(self.run.chosen, self._probe())
        if shares:
            values = {name: _short(value) for name, value in shares.items()}
            self.journal.write(
                MeasureRecord(step=self.run.step, name="branch share", values=values)
            )

    def witness(self) -> Witness:
        """Give what the next evaluation measures by."""
        self._witness = Witness(self.task, self.run.world)
        return self._witness

    def keep(self, record: EvaluationRecord) -> None:
        """Keep what stands behind the last evaluation, for the report."""
        dataset = self.dataset
        examples = {"validation": dataset.validation, "test": dataset.test}[record.part]
        assert examples is not None
        self._parts[record.part] = self._witness.evidence(record, examples)
        self._tell("running")

    @contextmanager
    def ending(self, hold: Hold) -> Iterator[None]:
        """Tell in the evidence how what happens inside ends, and bring every step into the journal.

        Steps after the last save are there for a reader; a resumed run cuts them off. On a GPU they
        are left out where another process ended: it may wait for that one, and never answer.

        Args:
            hold: On the folder; nothing is written once another session has it.

        Raises:
            BaseException: What was raised inside.
        """
        state = "running"
        self._tell(state)
        try:
            yield
            state = _at_its_end(self.run)
        except BaseException as error:
            state = _in_words(error)
            raise
        finally:
            if not hold.is_lost:
                if state != ANOTHER_ENDED or self.run.batches.device.type == "cpu":
                    with suppress(Exception):  # what ended the run is what its reader must hear of
                        self.journal.read()
                    self._write_norms()
                self._tell(state)

    def _tell(self, state: str) -> None:
        if self.path is None:
            return
        now = {"steps": self.run.steps, "step": self.run.step, "seconds": round(self._clock(), 3)}
        evidence = Evidence(facts={**self._facts, **now}, state=state, parts=self._parts)
        with suppress(OSError):  # the run is more than its report, and says itself what is full
            write_atomic(self.path, evidence_to_text(evidence).encode())

    def _probe(self) -> Tensor:
        examples: Examples = self.dataset.validation or self.dataset.train
        index = torch.linspace(0, len(examples) - 1, min(PROBE, len(examples))).long()
        with seeded("probe"):  # a data set of the user's own may draw
            inputs, _ = examples.gather(index)
        return self.dataset.preprocessing(inputs).to(self.run.batches.device)


def _is_due(step: int, steps: int) -> bool:
    """Say whether to measure: at the first update, and spread evenly over the run."""
    return step == 1 or step * MEASUREMENTS // steps > (step - 1) * MEASUREMENTS // steps


def _at_its_end(run: Run) -> str:
    """Say that it is finished, or paused; patience and a target end it by making it shorter."""
    if run.step < run.steps:
        return f"paused at step {run.step} of {run.steps}"
    return "finished"


def _in_words(error: BaseException) -> str:
    if isinstance(error, Interrupted | Diverged):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "stopped at once"
    if isinstance(error, Exception) and is_loss_of_another(error):
        return ANOTHER_ENDED
    if isinstance(error, GeneratorExit):
        return "left by its caller"
    return f"{type(error).__name__}: {error}"


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _evidence_in(path: Path) -> Mapping[str, Any]:
    try:
        return evidence_from_text(path.read_text(encoding="utf-8")).parts
    except (OSError, ValueError):  # a run of before there was evidence, or a damaged file
        return {}
