"""How well a trained network does on a part of its data, or on others."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, final

import torch
from torch import Tensor

from skipwise.data import (
    LABELS,
    NUMBERS,
    Batch,
    Data,
    Dataset,
    Examples,
    Gallery,
    Stored,
    described,
    in_short,
)
from skipwise.description import by_path, replace_all
from skipwise.experiment import Experiment
from skipwise.files import check_place
from skipwise.prediction import (
    Prediction,
    Predictor,
    brought_to,
    check_fits,
    fit_to,
    load,
    loaded_for,
    numbers_in_rows,
    write_rows,
)
from skipwise.progress import in_words
from skipwise.records import EvaluationRecord, RunRecord, place_of
from skipwise.runs import experiment_of
from skipwise.tasks import Task, plain_task
from skipwise.training import autocast_type, choose_device, place_model, settle_kernels
from skipwise.training import evaluate as measure

ByClass: TypeAlias = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a network scores; printed, it says so in words.

    Args:
        record: The metrics, and of how many examples they are.
        by_class: The metrics of each class; empty where there are none.
        notes: Sentences on what should be known of the data.
    """

    record: EvaluationRecord
    by_class: ByClass
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics by name."""
        return self.record.metrics

    def __str__(self) -> str:
        return "\n".join([*self.notes, in_words(self.record), *self.table()])

    def table(self) -> Iterator[str]:
        """Write the metrics class by class, a line each."""
        width = max((len(name) for name in self.by_class), default=0)
        for n, (name, values) in enumerate(self.by_class.items()):
            if n == 0:
                yield "  ".join([" " * width, *(f"{column:>9}" for column in values)])
            cells = (f"{v:>9.4f}" if isinstance(v, float) else f"{v:>9}" for v in values.values())
            yield "  ".join([f"{name:<{width}}", *cells])


def evaluate(
    run: str | Path | RunRecord,
    data: Any = None,
    *,
    part: str | None = None,
    csv: str | Path | None = None,
    skip_bad: bool = False,
    views: str | None = None,
    set: Mapping[str, Any] | None = None,
    allow: Iterable[str] = (),
) -> Evaluation:
    """Score the best weights of a run on its test part, or on other data of the same kind.

    Args:
        run: The run's folder or record, or a file of weights, ours or others' (which needs data).
        data: Other data: a word as on the command line, a description, arrays ``(x, y)``, or a
            map-style data set of your own, also as one part, ``{"test": …}``; pictures are
            brought to the network's size, and classes go by their names. All of its examples count
            if it has no parts of its own.
        part: train, validation or test; test if None, of other data validation if there is none.
        csv: Write a table with a row for each example to this file: its name (the file, else the
            number in the data), truth, prediction, probability and the probability of every class;
            of a regression, truth and output.
        skip_bad: Leave out pictures that cannot be read, and say which.
        views: What outputs are averaged over: flip, crops or none; as in the training if None.
        set: Fields of the data by path, ``{"data.label_column": "breed"}``.
        allow: Packages outside ``skipwise`` that the run names.

    Raises:
        ValueError: If the run cannot be read, or there are no data that fit it.
    """
    place, set = place_of(run), by_path("set", set)
    table = None if csv is None else Path(csv)
    check_place(table, "table", whole=False)
    predictor = load(place, allow=allow)
    if views is not None:
        predictor.show(views)
    experiment = experiment_of(place, allow=allow) if place.is_dir() else None
    if data is None:
        dataset = _own(predictor, place, experiment, chosen={"--skip-bad": skip_bad, "--set": set})
    else:
        brought = brought_to(predictor, described(data))
        dataset = loaded_for(predictor, _changed(brought, set, skip_bad=skip_bad))
    fitted = ""
    if predictor.is_foreign:
        predictor, fitted = fit_to(predictor, place, dataset)
    check_fits(predictor, dataset)
    precision = "auto" if experiment is None else experiment.precision
    found = _scored(predictor, dataset, part, table, named=data is not None, precision=precision)
    return replace(found, notes=tuple(filter(None, (fitted, *found.notes))))


def _scored(
    predictor: Predictor,
    dataset: Dataset,
    part: str | None,
    table: Path | None,
    *,
    named: bool,
    precision: str,
) -> Evaluation:
    examples, called = _part(dataset, part, named=named)
    record, written = _score(predictor, examples, called, precision=precision, table=table)
    by_class = _by_class(record, dataset.classes)
    left = (note for note in dataset.notes if " skipped: " in note or " left out, since " in note)
    is_own = dataset.digest == predictor.card.digest
    remarks = _remarks(dataset.name, called, by_class, asked=part is not None, is_own=is_own)
    if not math.isfinite(record.metrics["loss"]):
        remarks = (*remarks, "some outputs are not finite; look for NaN and infinity in the inputs")
    return Evaluation(record=record, by_class=by_class, notes=(*left, *remarks, written))


def _own(
    predictor: Predictor, run: Path, experiment: Experiment | None, chosen: Mapping[str, Any]
) -> Dataset:
    """Load the data of a run.

    Raises:
        ValueError: If there is no run, its data changed, or something was chosen for other data.
    """
    if words := [word for word, value in chosen.items() if value]:
        raise ValueError(f"{run} keeps what was chosen for its data; {words[0]} is for data named")
    if experiment is None:
        raise ValueError(
            f"{run} is a file of weights; say what to evaluate it on: skipwise evaluate {run} DATA"
        )
    dataset = experiment.data.load()
    if predictor.card.digest not in ("", dataset.digest):
        raise ValueError(
            f"the data of {run} changed since it was trained, so what is held out now may have"
            " been trained on; give them back, or name the data to score them all"
        )
    return dataset


def _changed(data: Data, settings: Mapping[str, Any], *, skip_bad: bool) -> Data:
    """Change a source by its fields.

    Raises:
        ValueError: If it has no such field.
    """
    if skip_bad and not isinstance(data, Gallery):
        raise ValueError(
            "--skip-bad is for folders of pictures and tables of them; these data have no files"
        )
    data = replace(data, skip_bad=True) if isinstance(data, Gallery) and skip_bad else data
    for path in settings:
        if not path.startswith("data."):
            raise ValueError(f"--set is of the data here, data.label_column=…; got {path!r}")
    return replace_all(data, {path.removeprefix("data."): v for path, v in settings.items()})


def _part(dataset: Dataset, part: str | None, *, named: bool) -> tuple[Examples, str]:
    """Give the part that is scored, and what it is called.

    Of data that were named it is test, else validation, else all of them, unless one is asked for.

    Raises:
        ValueError: If there is no such part.
    """
    if named and part is None and dataset.test is None:
        if dataset.validation is None:
            return dataset.train, "all"
        return dataset.validation, "validation"
    part = part or "test"
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    if part not in parts:
        raise ValueError(f"part must be train, validation or test, got {part!r}")
    found = parts[part]
    stands_for_it = part == "train" and found in (dataset.validation, dataset.test)
    if found is None or stands_for_it:
        raise ValueError(f"{dataset.name} has no {part} part; choose another with --part")
    return found, part


def _remarks(
    name: str, called: str, by_class: ByClass, *, asked: bool, is_own: bool
) -> Iterator[str]:
    """Say what a reader of the score should know of the part that it is of."""
    if called == "all" and is_own:
        yield "these are the data of the training, so most examples were learned from"
    if called == "validation" and not asked:
        yield f"{name} has no test part: its validation part is scored"
    if absent := [name for name, values in by_class.items() if not values["examples"]]:
        yield f"no example of {in_short(absent)}; f1, a mean over all classes, takes 0 there"


def _by_class(record: EvaluationRecord, classes: tuple[str, ...]) -> ByClass:
    columns = record.per_class
    return {
        name: {column: values[n] for column, values in columns.items()}
        for n, name in enumerate(classes if columns else ())
    }


@final
class Answers:
    """A task that is measured, and what the network said of each example.

    Args:
        task: The task.
    """

    def __init__(self, task: Task):
        self.task = task
        self._seen: list[tuple[Tensor, Tensor]] = []

    def tally(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Keep outputs and targets, and give the task's sums."""
        self._seen.append((output.float().cpu(), batch.targets.cpu()))
        return self.task.tally(output, batch)

    def metrics(self, tally: Mapping[str, Tensor]) -> dict[str, float]:
        """Give the task's metrics."""
        return self.task.metrics(tally)

    def per_class(self, tally: Mapping[str, Tensor]) -> Mapping[str, Sequence[float]]:
        """Give the task's metrics by class."""
        return self.task.per_class(tally)

    def rows(self, predictor: Predictor, examples: Examples) -> Iterator[dict[str, Any]]:
        """Give a row of the table for each example of the part that was measured, in their order.

        Args:
            predictor: Of the network.
            examples: The part.
        """
        start = 0
        for outputs, targets in self._seen:
            index = torch.arange(start, start + len(outputs))
            start += len(outputs)
            names = examples.called(index)
            if predictor.card.task == NUMBERS:
                back = predictor.preprocessing.unscaled
                is_exact = isinstance(examples, Stored)
                true = examples.targets[index] if is_exact else back(targets)
                truths = numbers_in_rows("name", names, true, of="truth")
                said = numbers_in_rows("name", names, back(outputs))
                yield from ({**truth, **row} for truth, row in zip(truths, said, strict=True))
                continue
            for target, found in zip(targets, predictor.named(outputs, names), strict=True):
                yield _answer(predictor, target, found)


def _answer(predictor: Predictor, target: Tensor, found: Prediction) -> dict[str, Any]:
    classes, several = predictor.classes, predictor.card.task == LABELS
    true = target.nonzero()[:, 0].tolist() if several else [int(target)]
    said = {"prediction": found.label} | ({} if several else {"probability": found.probability})
    truth = "+".join(classes[n] for n in true)
    return {
        "name": found.source,
        "truth": truth,
        **said,
        "probabilities": found.probabilities,
    }


def _score(
    predictor: Predictor, examples: Examples, part: str, *, precision: str, table: Path | None
) -> tuple[EvaluationRecord, str]:
    """Measure a part, and write what was said of each example if a table is wanted, in words."""
    card, device = predictor.card, choose_device()
    unit = predictor.preprocessing.target_scale
    task = plain_task(card.task, len(card.classes), unit=unit)
    answers = Answers(task)
    model = place_model(predictor.model, device)
    autocast = autocast_type(precision, device, exact=card.task == NUMBERS)
    settle_kernels(device)
    record = measure(
        model,
        examples,
        predictor.preprocessing,
        task if table is None else answers,
        part=part,
        autocast=autocast,
        views=predictor.views,
    )
    if table is None:
        return record, ""
    return record, f"{write_rows(table, answers.rows(predictor, examples))} examples in {table}"
