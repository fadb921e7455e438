"""Everything that reaches the disk as plain data: what a step, an evaluation and a run left behind.

A journal is a file of lines, one event each; the field ``event`` says which record it is. Nothing
here needs torch.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One update: counted from 1, with the mean loss of its batch *before* the update.

    ``gradient_norm`` is the Euclidean norm over all parameters before clipping; ``epoch`` is a
    fraction. ``accuracy`` is that of the batch as it was trained on, augmented, before the update.
    ``data_seconds``, ``gradient_seconds`` and ``optimiser_seconds`` are parts of ``seconds``; on a
    GPU they are the times of giving commands, and the wait for their work is in the rest. What was
    not measured is NaN. ``gradients`` is how many the rule asked for; ``clipped`` says that the
    gradient, or that of a unit, was shortened, and ``skipped`` that a guard refused the step, which
    then changed nothing.
    """

    step: int
    epoch: float
    loss: float
    rate: float
    gradient_norm: float
    examples: int
    seconds: float
    data_seconds: float = math.nan
    gradient_seconds: float = math.nan
    optimiser_seconds: float = math.nan
    accuracy: float = math.nan
    gradients: int = 1
    clipped: bool = False
    skipped: bool = False


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """What a part of the data says of the network after ``step`` updates.

    ``part`` is train, validation or test. ``per_class`` holds metrics by class, in the order of the
    classes.
    """

    step: int
    part: str
    examples: int
    metrics: Mapping[str, float]
    seconds: float
    per_class: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NoteRecord:
    """Something a reader should know, in words, and the step at which it happened.

    ``returned`` says that a guard took the run back to an earlier state.
    """

    step: int
    text: str
    returned: bool = False


@dataclass(frozen=True, kw_only=True)
class MeasureRecord:
    """What was measured beside the training after ``step`` updates, a number by name.

    ``gradient norm``: of each layer with a weight of two axes or more, in their order; ``branch
    share``: of each block, from the input on; ``saving``: seconds; ``watch …``: what a monitor saw,
    ``watch gradients`` with the examples and the seconds it took, ``watch gradients: branch share``
    with a column of its measurement.
    """

    step: int
    name: str
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class VerdictRecord:
    """What a rule says of a run after ``step`` updates, written where its level changes.

    ``rule`` is V0 to V13, ``level`` FAIL, WARN, INFO, UNKNOWN or PASS; ``says`` is one sentence and
    ``cure`` what would mend it.
    """

    step: int
    rule: str
    name: str
    level: str
    says: str
    cure: str = ""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """An example that was taken for another class.

    ``index`` counts within its part; ``picture`` is a PNG or JPEG in base64, empty where the
    example is no picture; ``name`` is its file, else its number in the data.
    """

    index: int
    truth: int
    said: int
    probability: float
    probability_of_truth: float
    picture: str = ""
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class PartEvidence:
    """What stands behind the metrics of one part.

    ``confusion`` holds (truth, said, count) of all pairs that occur; ``mistakes`` the most
    confident first; ``loss_deviation`` is the standard deviation of an example's loss, in a
    regression.
    """

    step: int
    examples: int
    confusion: Sequence[Sequence[int]] = ()
    mistakes: Sequence[Mistake] = ()
    per_class: Mapping[str, Sequence[float]] = field(default_factory=dict)
    loss_deviation: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a report needs beyond the journal: facts of the run, how it ended, and its predictions.

    ``state`` is running, finished, or in words how it paused or broke off.
    """

    facts: Mapping[str, Any]
    state: str
    parts: Mapping[str, PartEvidence] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A finished or stopped run: where it lies, what validation chose, what the test part says.

    Of its steps ``clipped`` had a gradient that was shortened and ``skipped`` were refused by a
    guard, which ``rolled_back`` times returned to an earlier state.
    """

    path: str
    data: str
    network: str
    strategy: str
    seed: int
    step: int
    steps: int
    train_seconds: float
    validation: EvaluationRecord | None
    test: EvaluationRecord | None
    notes: tuple[str, ...] = ()
    clipped: int = 0
    skipped: int = 0
    rolled_back: int = 0

    @property
    def finished(self) -> bool:
        """Whether every planned step was taken."""
        return self.step >= self.steps


def place_of(run: Any) -> Path:
    """Give where a run lies, for which its folder stands, or its record.

    Raises:
        TypeError: If it is neither.
    """
    if not isinstance(run, str | PathLike | RunRecord):
        raise TypeError(
            "a run is given as its folder, or as the record that skipwise.train gave; got"
            f" {type(run).__name__}"
        )
    return Path(run.path if isinstance(run, RunRecord) else run)


OPTIONAL = ("data_seconds", "gradient_seconds", "optimiser_seconds", "accuracy")  # of a step
USUAL = {"gradients": 1, "clipped": False, "skipped": False}  # not told where nothing else is
Event: TypeAlias = StepRecord | EvaluationRecord | NoteRecord | MeasureRecord | VerdictRecord
KINDS: dict[str, type[Event]] = {
    "step": StepRecord,
    "evaluation": EvaluationRecord,
    "note": NoteRecord,
    "measure": MeasureRecord,
    "verdict": VerdictRecord,
}


def to_line(event: Event) -> str:
    """Write an event as one line of valid JSON: a number that is not finite becomes null."""
    kind = next(name for name, record in KINDS.items() if isinstance(event, record))
    return json.dumps({"event": kind, **finite(asdict(event))}, ensure_ascii=False) + "\n"


def finite(value: Any) -> Any:
    """Replace numbers that JSON cannot write (NaN, infinity) by None, at every level."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


def from_line(line: str) -> Event:
    """Read back what :func:`to_line` wrote."""
    fields = _numbers(json.loads(line))
    return KINDS[fields.pop("event")](**fields)


def _numbers(value: Any) -> Any:
    """Undo :func:`finite`: no field of a record is None but for a number that was not finite."""
    if isinstance(value, dict):
        return {name: _numbers(inner) for name, inner in value.items()}
    return math.nan if value is None else value


def evidence_to_text(evidence: Evidence) -> str:
    """Write evidence as one JSON object."""
    return json.dumps(finite(asdict(evidence)), ensure_ascii=False)


def evidence_from_text(text: str) -> Evidence:
    """Read back what :func:`evidence_to_text` wrote.

    Raises:
        ValueError: If it is no evidence.
    """
    try:
        plain = json.loads(text)
        parts = {name: _numbers(part) for name, part in plain["parts"].items()}
        for part in parts.values():
            part["mistakes"] = tuple(Mistake(**mistake) for mistake in part["mistakes"])
        parts = {name: PartEvidence(**part) for name, part in parts.items()}
        return Evidence(facts=plain["facts"], state=plain["state"], parts=parts)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is no evidence of a run: {error}") from None


def read_journal(path: Path) -> Iterator[Event]:
    """Yield the events of a journal; a last line cut short by a crash is left out.

    Raises:
        ValueError: If another line is no event.
    """
    with path.open("rb") as lines:  # the cut may go through a letter of several bytes
        for number, line in enumerate(lines, start=1):
            if line.endswith(b"\n"):
                try:
                    event = from_line(line.decode())
                except (ValueError, KeyError, TypeError, AttributeError):
                    raise ValueError(
                        f"{path}, line {number} is no event of a run: the file was changed; give"
                        " back a copy of it (without the line the run can be read, not resumed)"
                    ) from None
                yield event


def throughput(steps: Iterable[StepRecord]) -> float:
    """Give the examples a second of some steps, without what lay between them; NaN of none."""
    examples, seconds = 0, 0.0
    for step in steps:
        examples, seconds = examples + step.examples, seconds + step.seconds
    return examples / seconds if seconds else math.nan


def steps_as_csv(events: Iterable[Event]) -> str:
    """Write the steps, with the validation metrics where there are any, as a table."""
    rows: dict[int, dict[str, Any]] = {}
    for event in events:
        if isinstance(event, StepRecord):
            fields = {k: v for k, v in asdict(event).items() if k not in USUAL or v != USUAL[k]}
            rows[event.step] = {
                k: v for k, v in fields.items() if k not in OPTIONAL or math.isfinite(v)
            }
        elif isinstance(event, EvaluationRecord):
            named = {f"{event.part}_{k}": v for k, v in event.metrics.items()}
            rows.setdefault(event.step, {"step": event.step}).update(named)
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[step] for step in sorted(rows))
    return table.getvalue()
