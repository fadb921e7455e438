"""One measurement of the plan, and the mode that it is made in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from torch import nn

from skipwise.analysis import Measurement, untouched
from skipwise.diagnosis.rehearsal import Rehearsal
from skipwise.diagnosis.subject import LEAST, Pair, Subject

FORWARD = 1 / 3
PROBE = 64  # examples


@final
@dataclass(frozen=True, kw_only=True)
class Entry:
    """One measurement.

    Args:
        name: Its short name in a diagnosis.
        measure: Makes it, or a rehearsal.
        blocks: Whether it needs the blocks.
        deep: Whether it is made only when asked for.
        applies: Whether there is anything to measure.
        passes: Of one example, all in all, where they cannot be made to fit into a share of the
            time.
    """

    name: str
    measure: Callable[[Subject], Measurement | Rehearsal | tuple[str, ...]]
    blocks: bool = False
    deep: bool = False
    applies: Callable[[Subject], bool] = lambda _: True
    passes: Callable[[Subject], float] = lambda _: 0.0


def at_least(passes: float) -> Callable[[Subject], float]:
    """Give the passes of what takes so many of each example, of the fewest that it is made on."""
    return lambda _: LEAST * passes


def hold(model: nn.Module, *, training: bool) -> None:
    """Bring a model into a mode; one that trains already keeps its frozen parts frozen."""
    if not (training and model.training):
        model.train(training)


def in_mode(
    measure: Callable[..., Any], subject: Subject, pair: Pair, *, training: bool, **others: Any
) -> Any:
    """Measure in one mode what takes the model in the mode that it is in."""
    with untouched(subject.model):
        hold(subject.model, training=training)
        return measure(subject.model, pair, subject.loss, **others)
