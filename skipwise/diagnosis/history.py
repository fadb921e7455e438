"""What a run has been through, as plain numbers: its steps, its rates and its evaluations."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import final

from skipwise.records import EvaluationRecord, Event, StepRecord

FEWEST = 6  # losses that can be said to rise


@final
@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What a part of the data said after ``step`` updates, in evaluation mode; NaN: not known."""

    step: int
    loss: float
    accuracy: float = math.nan


@final
@dataclass(frozen=True, kw_only=True)
class History:
    """A run's steps and evaluations, in their order; all of it may be empty.

    Args:
        steps: Numbers of the updates, from 1.
        losses: Mean loss of each one's batch before it, in training mode and of augmented
            examples, so that it compares with itself only.
        rates: The learning rate of each.
        gradient_norms: Norm over all parameters, before clipping.
        training: Evaluations of the training part.
        validation: Of the validation part.
        skipped: Numbers of the updates that a guard or a gradient scaler refused; losses and norms
            tell which of them were not finite.
        batch_size: Examples an update; 0 where that is not known.
        dtype: Of the weights; empty where that is not known.
        planned_rate: The largest that the schedule comes to, if it is known.
        foreign: Whether it may have begun with weights that were trained elsewhere.
    """

    steps: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()
    rates: tuple[float, ...] = ()
    gradient_norms: tuple[float, ...] = ()
    training: tuple[Evaluated, ...] = ()
    validation: tuple[Evaluated, ...] = ()
    skipped: tuple[int, ...] = ()
    batch_size: int = 0
    dtype: str = ""
    planned_rate: float | None = None
    foreign: bool = False

    def __post_init__(self):
        for name in ("losses", "rates", "gradient_norms"):
            if len(vars(self)[name]) not in (0, len(self.steps)):
                raise ValueError(
                    f"{name} must hold one number for each of {len(self.steps)} steps, got"
                    f" {len(vars(self)[name])}"
                )

    @property
    def taken_losses(self) -> tuple[float, ...]:
        """Losses of the updates that were made; those of refused ones changed nothing."""
        refused = set(self.skipped)
        pairs = zip(self.steps, self.losses, strict=False)
        return tuple(loss for step, loss in pairs if step not in refused)

    @property
    def broken(self) -> tuple[int, ...]:
        """Numbers of the refused updates whose loss or gradient was not finite.

        A guard refuses also what has exploded and is finite, and a second gradient of a step, of
        which nothing is kept; these are not counted.
        """
        columns = [column for column in (self.losses, self.gradient_norms) if column]
        bad = {
            step
            for column in columns
            for step, value in zip(self.steps, column, strict=True)
            if not math.isfinite(value)
        }
        return tuple(step for step in self.skipped if step in bad)

    @property
    def recovered(self) -> bool:
        """Whether an update was made after the last that was refused as not finite."""
        made = set(self.steps) - set(self.skipped)
        return bool(self.broken) and max(made, default=0) > self.broken[-1]

    @property
    def peak_rate(self) -> float:
        """The largest rate, planned or so far; NaN where neither is known."""
        return max((*self.rates, *filter(None, (self.planned_rate,))), default=math.nan)


def history_of(
    events: Iterable[Event],
    *,
    dtype: str = "float32",
    planned_rate: float | None = None,
    foreign: bool = False,
) -> History:
    """Gather what a journal holds.

    Args:
        events: Of one run, as ``skipwise.records.read_journal`` yields them.
        dtype: Of its weights, which the journal does not say.
        planned_rate: The largest that its schedule comes to.
        foreign: Whether it may have begun with weights that were trained elsewhere.
    """
    every = list(events)
    steps = [event for event in every if isinstance(event, StepRecord)]
    return History(
        steps=tuple(step.step for step in steps),
        losses=tuple(step.loss for step in steps),
        rates=tuple(step.rate for step in steps),
        gradient_norms=tuple(step.gradient_norm for step in steps),
        training=_evaluations(every, "train"),
        validation=_evaluations(every, "validation"),
        skipped=tuple(step.step for step in steps if step.skipped),
        batch_size=steps[-1].examples if steps else 0,
        dtype=dtype,
        planned_rate=planned_rate,
        foreign=foreign,
    )


def _evaluations(events: Iterable[Event], part: str) -> tuple[Evaluated, ...]:
    return tuple(
        Evaluated(
            step=event.step,
            loss=event.metrics.get("loss", math.nan),
            accuracy=event.metrics.get("accuracy", math.nan),
        )
        for event in events
        if isinstance(event, EvaluationRecord) and event.part == part
    )


def rises(losses: Sequence[float], *, share: float = 0.1, errors: float = 3.0) -> bool:
    """Tell whether losses rise, beyond what noise between batches would do.

    They do if the mean of the second half exceeds that of the first by more than ``errors``
    standard errors of the difference, ``√(s₁²/n₁ + s₂²/n₂)``, and by more than a share of it.

    >>> rises([1.1**t for t in range(20)]), rises([1.0, 3.0] * 10)
    (True, False)

    Args:
        losses: In their order; those that are not finite are left out.
        share: Of the mean of the first half.
        errors: Standard errors.

    Source: Welch (1947) for the standard error; the thresholds are ours.
    """
    known = [loss for loss in losses if math.isfinite(loss)]
    if len(known) < FEWEST:
        return False
    first, second = known[: len(known) // 2], known[len(known) // 2 :]
    rise = fmean(second) - fmean(first)
    error = math.sqrt(variance(first) / len(first) + variance(second) / len(second))
    return rise > errors * error and rise > share * abs(fmean(first))
