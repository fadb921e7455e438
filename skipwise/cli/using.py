"""``evaluate`` and ``predict``."""

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from skipwise.cli.words import Flag, Words, assigned, print_json
from skipwise.data import (
    NUMBERS,
    UnreadablePicture,
    picture_files,
    read_inputs,
)
from skipwise.evaluating import evaluate as score
from skipwise.files import check_place
from skipwise.prediction import Prediction, Predictor, load, numbers_in_rows, write_rows
from skipwise.progress import in_words
from skipwise.training import choose_device, place_model, settle_kernels

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
    found = score(
        run,
        data,
        part=part,
        csv=csv,
        skip_bad=skip_bad,
        views=views,
        set=assigned(set),
        allow=allow,
    )
    for sentence in found.notes:
        print(sentence, file=sys.stderr)
    if json:
        record = found.record
        of = {"examples": record.examples, "part": record.part, "run": str(run)}
        print_json({**record.metrics, **of, "per_class": found.by_class})
    else:
        print("\n".join([in_words(found.record), *found.table()]))


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
        ValueError: If no file is named, the run or a file cannot be read, or all were skipped.
    """
    if not files:
        raise ValueError("name the pictures, or a folder of them: skipwise predict RUN FILE…")
    check_place(csv, "table", whole=False)
    predictor = load(run, allow=allow)
    if views is not None:
        predictor.show(views)
    skipped: list[UnreadablePicture] = []
    device = choose_device()
    predictor.model = place_model(predictor.model, device)
    settle_kernels(device)
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
    if skipped and not found:
        others = f" and so on, {len(skipped)} files in all" if len(skipped) > 1 else ""
        raise ValueError(f"nothing can be predicted: {skipped[0]}{others}; mend or replace them")
    for error in skipped:
        print(f"skipwise: skipped: {error}", file=sys.stderr)
    if len(skipped) > 1:
        every = len(skipped) + len(found)
        print(f"skipwise: {len(skipped)} of {every} files were skipped", file=sys.stderr)
    _tell(found, run, csv, as_json=json, skipped=len(skipped))


def _predicted(
    predictor: Predictor, files: tuple[str, ...], skipped: list[UnreadablePicture] | None
) -> list[dict[str, Any]]:
    """Give a row of the table for each example."""
    numbers = predictor.card.task == NUMBERS
    if files[0].lower().endswith(".npz") and len(files) == 1:
        rows = read_inputs(Path(files[0]))
        if numbers:
            return numbers_in_rows("row", range(len(rows)), predictor.outputs(rows))
        return [_row(prediction) for prediction in predictor.predict(rows)]
    paths = picture_files(files)
    if numbers:
        found = predictor.outputs_of_files(paths, skipped=skipped)
        return [row for some, outputs in found for row in numbers_in_rows("file", some, outputs)]
    return [_row(prediction) for prediction in predictor.predict_files(paths, skipped=skipped)]


def _row(prediction: Prediction) -> dict[str, Any]:
    likeliest = {"class": prediction.label, "probability": prediction.probability}
    return {"file": prediction.source, **likeliest, "probabilities": prediction.probabilities}


def _tell(
    rows: list[dict[str, Any]], run: Path, table: Path | None, *, as_json: bool, skipped: int = 0
) -> None:
    """Write the table if one is wanted, and print the rows or where they are."""
    if table is not None:
        write_rows(table, rows)
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
