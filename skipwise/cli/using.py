"""``evaluate`` and ``predict``."""

import csv
import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from skipwise.cli.progress import in_words
from skipwise.data import CLASSES, Dataset, Examples, find_data
from skipwise.prediction import Prediction, Predictor, load, picture_files, skipping_bad
from skipwise.records import EvaluationRecord, finite
from skipwise.runs import experiment_of
from skipwise.tasks import Classification, Regression
from skipwise.training import autocast_type, choose_device, place_model
from skipwise.training import evaluate as measure

Words = Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=False)]
Flag = Annotated[bool, Parameter(negative="")]


def evaluate(
    run: Path,
    data: str | None = None,
    /,
    *,
    part: str = "test",
    allow: Words = (),
    json: Flag = False,
) -> None:
    """Score a run's best weights on its test part, or on other data of the same kind.

    Args:
        run: The run's folder, or a file of weights (which needs DATA).
        data: Other data: a name, a folder or a file, as for train; all of its examples if
            it has no parts.
        part: train, validation or test.
        allow: A package of yours that the run names.
        json: Print the result as one JSON object.

    Raises:
        ValueError: If the run cannot be read, or there are no data that fit it.
    """
    predictor = load(run, allow=allow)
    if data is not None:
        dataset = find_data(data).load()
    elif run.is_dir():
        dataset = experiment_of(run, allow=allow).data.load()
    else:
        raise ValueError(
            f"{run} is a file of weights; say what to evaluate it on: skipwise evaluate {run} DATA"
        )
    _check(predictor, dataset)
    record = _score(predictor, _part(dataset, part), part, precision=_precision(run, allow))
    if json:
        print(_json({**record.metrics, "examples": record.examples, "part": part, "run": str(run)}))
    else:
        print(in_words(record))


def predict(
    run: Path,
    /,
    *files: str,
    csv: Annotated[Path | None, Parameter(name="--csv")] = None,
    skip_bad: Flag = False,
    allow: Words = (),
    json: Flag = False,
) -> None:
    """Predict the classes of picture files, with the preprocessing of the training.

    Args:
        run: The run's folder, or a file of weights.
        files: Pictures, or folders of them.
        csv: Write file, class, probability and the probability of every class to this
            table.
        skip_bad: Leave out files that cannot be read, and say how many.
        allow: A package of yours that the run names.
        json: Print the result as one JSON object.

    Raises:
        ValueError: If no file is named, or the run or a file cannot be read.
    """
    if not files:
        raise ValueError("name the pictures, or a folder of them: skipwise predict RUN FILE…")
    predictor = load(run, allow=allow)
    paths, skipped = picture_files(files), []
    found = list(
        skipping_bad(predictor, paths, skipped) if skip_bad else predictor.predict_files(paths)
    )
    for error in skipped:
        print(f"skipwise: skipped: {error}", file=sys.stderr)
    if csv is not None:
        _write_csv(csv, found, predictor.classes)
    if json:
        print(
            _json({
                "run": str(run),
                "predictions": [dataclasses.asdict(p) for p in found],
                "skipped": len(skipped),
            })
        )
    elif csv is None:
        width = max((len(p.source) for p in found), default=0)
        for p in found:
            print(f"{p.source:<{width}}  {p.label}  {p.probability:.4f}")
    else:
        print(f"{len(found)} predictions in {csv}")


def _json(value: Any) -> str:
    return json.dumps(finite(value), ensure_ascii=False)


def _write_csv(path: Path, found: list[Prediction], classes: tuple[str, ...]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "class", "probability", *classes])
        for p in found:
            writer.writerow([
                p.source,
                p.label,
                f"{p.probability:.6f}",
                *(f"{v:.6f}" for v in p.probabilities.values()),
            ])


def _check(predictor: Predictor, dataset: Dataset) -> None:
    card = predictor.card
    if dataset.task != card.task or tuple(dataset.ends.outputs) != tuple(card.outputs):
        raise ValueError(
            f"the network was trained for {card.task} with outputs {card.outputs},"
            f" {dataset.name} is {dataset.task} with outputs {dataset.ends.outputs}"
        )
    if tuple(dataset.ends.inputs) != tuple(card.inputs):
        raise ValueError(
            f"the network reads examples of shape {card.inputs},"
            f" {dataset.name} has {dataset.ends.inputs}"
        )
    if card.task == CLASSES and dataset.classes != tuple(card.classes):
        raise ValueError(
            f"the classes differ: the network knows {card.classes},"
            f" {dataset.name} has {dataset.classes}"
        )


def _part(dataset: Dataset, part: str) -> Examples:
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    if part not in parts:
        raise ValueError(f"part must be train, validation or test, got {part!r}")
    found = parts[part]
    if found is None:
        raise ValueError(f"{dataset.name} has no {part} part; choose another with --part")
    return found


def _precision(run: Path, allow: tuple[str, ...]) -> str:
    return experiment_of(run, allow=allow).precision if run.is_dir() else "auto"


def _score(
    predictor: Predictor, examples: Examples, part: str, *, precision: str
) -> EvaluationRecord:
    card, device = predictor.card, choose_device()
    task = Classification(classes=len(card.classes)) if card.task == CLASSES else Regression()
    model = place_model(predictor.model, device)
    autocast = autocast_type(precision, device, exact=card.task != CLASSES)
    return measure(
        model,
        examples,
        predictor.preprocessing,
        (task.tally, task.metrics),
        part=part,
        autocast=autocast,
    )
