"""What monitors have found out, told once: a verdict speaks where its level changes."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias, final

import torch
from torch import Tensor

from skipwise.diagnosis import History, Level, Reader, Verdict
from skipwise.records import NoteRecord, VerdictRecord
from skipwise.training import Step

REMEMBERED = 100  # steps whose losses are a witness
Said: TypeAlias = NoteRecord | VerdictRecord


@final
class Recent:
    """The last steps of a run, as a rule reads them.

    Losses stay on the device until one is asked for.

    Args:
        batch_size: Examples an update.
        dtype: Of the weights.
    """

    def __init__(self, *, batch_size: int, dtype: str):
        self.batch_size, self.dtype = batch_size, dtype
        self._steps: deque[tuple[int, float, bool]] = deque(maxlen=REMEMBERED)
        self._losses: deque[Tensor] = deque(maxlen=REMEMBERED)
        self.peak_rate, self.last_rate = 0.0, 0.0

    def add(self, step: Step) -> None:
        """Take in a step."""
        self._steps.append((step.step, step.rate, step.skipped))
        self._losses.append(step.loss.detach())
        self.peak_rate, self.last_rate = max(self.peak_rate, step.rate), step.rate

    def history(self) -> History:
        """Give them; this waits for the device."""
        # Those of before a resume come from the disk, whatever device the others lie on.
        losses = []
        if self._losses:
            device = self._losses[-1].device
            losses = torch.stack([loss.to(device) for loss in self._losses]).tolist()
        return History(
            steps=tuple(number for number, _, _ in self._steps),
            losses=tuple(losses),
            rates=tuple(rate for _, rate, _ in self._steps),
            skipped=tuple(number for number, _, skipped in self._steps if skipped),
            batch_size=self.batch_size,
            dtype=self.dtype,
        )

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint must hold."""
        losses = self.history().losses
        return {
            "steps": list(self._steps),
            "losses": list(losses),
            "peak_rate": self.peak_rate,
            "last_rate": self.last_rate,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self._steps.extend(map(tuple, state["steps"]))
        self._losses.extend(torch.tensor(loss) for loss in state["losses"])
        self.peak_rate, self.last_rate = state["peak_rate"], state["last_rate"]


@final
class Judge:
    """Remembers what every rule said last, so that each verdict is told once until it changes.

    Args:
        reader: In whose words cures are given.
    """

    def __init__(self, reader: Reader = Reader.RUN):
        self.reader = reader
        self._levels: dict[str, str] = {}

    def told(self, step: int, verdicts: Iterable[Verdict]) -> Iterator[Said]:
        """Give a record of every verdict whose level is new, and a note if it accuses, or no more.

        What is unknown at one step takes nothing back that was known before.

        Args:
            step: After which they were found.
            verdicts: What the rules say now.
        """
        for verdict in verdicts:
            before = self._levels.get(verdict.rule)
            if verdict.level == before or (before and verdict.level is Level.UNKNOWN):
                continue
            self._levels[verdict.rule] = str(verdict.level)
            verdict = verdict.told(self.reader)
            yield VerdictRecord(
                step=step,
                rule=verdict.rule,
                name=verdict.name,
                level=str(verdict.level),
                says=verdict.says,
                cure=verdict.cure,
            )
            if verdict.level is Level.FAIL:
                cure = f" Cure: {verdict.cure}" if verdict.cure else ""
                text = f"FAIL {verdict.rule}, {verdict.name}: {verdict.says}{cure}"
                yield NoteRecord(step=step, text=text)
            elif before == Level.FAIL:
                text = f"{verdict.level} {verdict.rule}, no longer {verdict.name}: {verdict.says}"
                yield NoteRecord(step=step, text=text)

    def state(self) -> dict[str, str]:
        """Give what a checkpoint must hold."""
        return dict(self._levels)

    def restore(self, state: dict[str, str]) -> None:
        """Take up a state."""
        self._levels = dict(state)
