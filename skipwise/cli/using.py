"""``evaluate`` and ``predict``."""

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import torch
from cyclopts import Parameter
from torch import Tensor

from skipwise.cli.composing import with_settings
from skipwise.cli.words import Flag, Words, check_place, print_json
from skipwise.data import (
    LABELS,
    NUMBERS,
    Batch,
    Dataset,
    Examples,
    Stored,
    UnreadablePicture,
    find_data,
    in_short,
    picture_files,
    read_inputs,
)
from skipwise.prediction import (
    Prediction,
    Predictor,
    brought_to,
    check_fits,
    fit_to,
    load,
    loaded_for,
)
from skipwise.progress import in_words
from skipwise.records import EvaluationRecord
from skipwise.runs import experiment_of
from skipwise.tasks import Task, plain_task
from skipwise.training import autocast_type, choose_device, place_model, settle_kernels
from skipwise.training import evaluate as measure

CsvFile = Annotated[Path | None, Parameter(name="--csv")]


def evaluate(
    run: Path,
    data: str | None = None,
    /,
    *,
    part: str | None = None,
    csv: CsvFile = None,
    skip_bad: Flag = False,
    views: str | None = None,
    set: Words = (),
    allow: Words = (),
    json: Flag = False,
) -> None:
    """Score a run's best weights on its test part, or on other data of the same kind.

    Args:
        run: The run's folder, or a file of weights, ours or others' (which needs DATA).
        data: Other data: a name, a folder or a file, as for train; pictures are brought to
            the network's size, and classes go by their names. All of its examples count if it has
            no parts of its own.
        part: train, validation or test; test if left out, of DATA validation where it has none.
        csv: Write a table with a row for each example: its name (the file, else the number in the
            data), truth, prediction, probability and the probability of every class; of a
            regression, truth and output.
        skip_bad: Leave out pictures of DATA that cannot be read, and say which.
        views: Average the outputs over views of a picture: flip, crops or none; as in the
            training if left out.
        set: path=value, a field of DATA: data.label_column=breed.
        allow: A package of yours that the run names.
        json: Print the result as one JSON object.

    Raises:
        ValueError: If the run cannot be read, or there are no data that fit it.
    """
    check_place(csv, "table")
    predictor = _seeing(load(run, allow=allow), views)
    experiment = experiment_of(run, allow=allow) if run.is_dir() else None
    if data is not None:
        if others := [word for word in set if not word.startswith("data.")]:
            raise ValueError(f"--set is of the data here, data.label_column=…; got {others[0]!r}")
        brought = brought_to(predictor, find_data(data))
        dataset = loaded_for(predictor, with_settings(brought, {"skip_bad": skip_bad or None}, set))
    elif skip_bad or set:
        word = "--skip-bad" if skip_bad else "--set"
        raise ValueError(f"{run} keeps what was chosen for its data; {word} is for data named")
    elif experiment is not None:
        dataset = experiment.data.load()
        if predictor.card.digest not in ("", dataset.digest):
            raise ValueError(
                f"the data of {run} changed since it was trained, so what is held out now may have"
                " been trained on; give them back, or name the data to score them all"
            )
    else:
        raise ValueError(
            f"{run} is a file of weights; say what to evaluate it on: skipwise evaluate {run} DATA"
        )
    said = [n for n in dataset.notes if " skipped: " in n or " left out, since " in n]
    if predictor.is_foreign:
        predictor, fitted = fit_to(predictor, run, dataset)
        said.append(fitted)
    check_fits(predictor, dataset)
    precision = "auto" if experiment is None else experiment.precision
    examples, called = _part(dataset, part, named=data is not None)
    record, written = _score(predictor, examples, called, precision=precision, table=csv)
    by_class = _by_class(record, dataset.classes)
    is_own = dataset.digest == predictor.card.digest
    said += _remarks(dataset.name, called, by_class, asked=part is not None, is_own=is_own)
    said.append(written)
    for sentence in filter(None, said):
        print(sentence, file=sys.stderr)
    if json:
        of = {"examples": record.examples, "part": called, "run": str(run)}
        print_json({**record.metrics, **of, "per_class": by_class})
    else:
        print("\n".join([in_words(record), *_table(by_class)]))


def predict(
    run: Path,
    /,
    *files: str,
    csv: CsvFile = None,
    skip_bad: Flag = False,
    views: str | None = None,
    allow: Words = (),
    json: Flag = False,
) -> None:
    """Predict picture files, or the rows of a file .npz, with the preprocessing of the training.

    Args:
        run: The run's folder, or a file of weights, ours or others'.
        files: Pictures, folders of them, or one file .npz with x.
        csv: Write a table: file, class, probability and the probability of every class; of a
            regression, the file or row and its numbers.
        skip_bad: Leave out files that cannot be read, and say how many.
        views: Average the outputs over views of a picture: flip, crops or none; as in the
            training if left out.
        allow: A package of yours that the run names.
        json: Print the result as one JSON object.

    Raises:
        ValueError: If no file is named, or the run or a file cannot be read.
    """
    if not files:
        raise ValueError("name the pictures, or a folder of them: skipwise predict RUN FILE…")
    check_place(csv, "table")
    predictor = _seeing(load(run, allow=allow), views)
    skipped: list[UnreadablePicture] = []
    device = choose_device()
    predictor.model = place_model(predictor.model, device)
    settle_kernels(device, None)
    if predictor.is_foreign:
        used = predictor.preprocessing
        mean, std = (", ".join(f"{v:.1f}" for v in column) for column in (used.mean, used.std))
        print(
            f"{run} has no card: its classes are numbered, and pictures are normalised with the"
            f" mean {mean} and the deviation {std}, as is usual for networks with such names",
            file=sys.stderr,
        )
    try:
        found = _predicted(predictor, files, skipped if skip_bad else None)
    except UnreadablePicture as error:
        raise ValueError(f"{error}; mend or remove it, or add --skip-bad") from None
    for error in skipped:
        print(f"skipwise: skipped: {error}", file=sys.stderr)
    _tell(found, run, csv, as_json=json, skipped=len(skipped))


def _predicted(
    predictor: Predictor, files: tuple[str, ...], skipped: list[UnreadablePicture] | None
) -> list[dict[str, Any]]:
    """Give a row of the table for each example."""
    numbers = predictor.card.task == NUMBERS
    if files[0].lower().endswith(".npz") and len(files) == 1:
        rows = read_inputs(Path(files[0]))
        if numbers:
            return _numbers("row", range(len(rows)), predictor.outputs(rows))
        return [_row(prediction) for prediction in predictor.predict(rows)]
    paths = picture_files(files)
    if numbers:
        found = predictor.outputs_of_files(paths, skipped=skipped)
        return [row for some, outputs in found for row in _numbers("file", some, outputs)]
    return [_row(prediction) for prediction in predictor.predict_files(paths, skipped=skipped)]


def _seeing(predictor: Predictor, views: str | None) -> Predictor:
    if views is not None:
        predictor.show(views)
    return predictor


def _by_class(record: EvaluationRecord, classes: tuple[str, ...]) -> dict[str, dict[str, float]]:
    columns = record.per_class
    return {
        name: {column: values[n] for column, values in columns.items()}
        for n, name in enumerate(classes if columns else ())
    }


def _table(rows: dict[str, dict[str, float]]) -> Iterator[str]:
    """Write precision, recall, F1 and the number of examples, class by class."""
    width = max((len(name) for name in rows), default=0)
    for n, (name, values) in enumerate(rows.items()):
        if n == 0:
            yield "  ".join([" " * width, *(f"{column:>9}" for column in values)])
        cells = (f"{v:>9.4f}" if isinstance(v, float) else f"{v:>9}" for v in values.values())
        yield "  ".join([f"{name:<{width}}", *cells])


def _row(prediction: Prediction) -> dict[str, Any]:
    likeliest = {"class": prediction.label, "probability": prediction.probability}
    return {"file": prediction.source, **likeliest, "probabilities": prediction.probabilities}


def _numbers(
    what: str, sources: Iterable[Any], outputs: Tensor, *, of: str = "output"
) -> list[dict[str, Any]]:
    places = ["_".join(map(str, place)) for place in np.ndindex(*outputs.shape[1:])]
    return [
        {what: source, **{f"{of}_{k}": v for k, v in zip(places, row, strict=True)}}
        for source, row in zip(sources, outputs.flatten(1).tolist(), strict=True)
    ]


def _tell(
    rows: list[dict[str, Any]], run: Path, table: Path | None, *, as_json: bool, skipped: int = 0
) -> None:
    """Write the table if one is wanted, and print the rows or where they are."""
    if table is not None:
        _write(table, rows)
    if as_json:
        print_json({"run": str(run), "predictions": rows, "skipped": skipped})
    elif table is not None:
        print(f"{len(rows)} predictions in {table}")
    else:
        width = max((len(str(row.get("file", row.get("row")))) for row in rows), default=0)
        for row in rows:
            first, *values = (v for k, v in row.items() if k != "probabilities")
            words = (f"{v:.4f}" if isinstance(v, float) else v for v in values)
            print(f"{first!s:<{width}}  {'  '.join(words)}")


def _write(table: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write a table, and count its rows."""
    count = 0
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)  # by column, not by name: a class may be called "file"
        for count, row in enumerate(rows, start=1):
            own = {k: v for k, v in row.items() if k != "probabilities"}
            each = row.get("probabilities", {})
            if count == 1:
                writer.writerow([*own, *each])
            writer.writerow([*own.values(), *each.values()])
    return count


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
    if found is None:
        raise ValueError(f"{dataset.name} has no {part} part; choose another with --part")
    return found, part


def _remarks(
    name: str, called: str, by_class: dict[str, dict[str, float]], *, asked: bool, is_own: bool
) -> Iterator[str]:
    """Say what a reader of the score should know of the part that it is of."""
    if called == "all" and is_own:
        yield "these are the data of the training, so most examples were learned from"
    if called == "validation" and not asked:
        yield f"{name} has no test part: its validation part is scored"
    if absent := [name for name, values in by_class.items() if not values["examples"]]:
        yield f"no example of {in_short(absent)}; f1, a mean over all classes, takes 0 there"


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
                truths = _numbers("name", names, true, of="truth")
                said = _numbers("name", names, back(outputs))
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
    settle_kernels(device, autocast)
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
    return record, f"{_write(table, answers.rows(predictor, examples))} examples in {table}"
