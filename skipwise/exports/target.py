"""What an export needs before it begins and leaves beside its file: target, data, card, script."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from skipwise.data import CLASSES, LABELS, Dataset, described
from skipwise.exports import infer
from skipwise.exports.checking import Part, part_of
from skipwise.exports.writing import check_onnx_installed
from skipwise.files import check_place, write_atomic
from skipwise.prediction import Predictor, brought_to, check_fits, fit_to, loaded_for
from skipwise.records import RunRecord, place_of
from skipwise.runs import experiment_of

ONNX, PT2 = ".onnx", ".pt2"
WEIGHTS = (".pth", ".safetensors")  # of other libraries: tensors alone
SCRIPT = "infer.py"
SEEN = "the ranges of eight bits are taken from the examples that are scored: there are no others"


def check_target(path: Path, *, int8: bool, calibrate: bool) -> None:
    """Refuse what cannot be written, before anything is computed.

    Raises:
        ValueError: If the ending, the folder or a flag does not fit, or a package is missing.
    """
    if path.suffix in WEIGHTS:
        raise ValueError(
            f"{path} would hold tensors alone; skipwise.exports.export_weights writes those"
        )
    if path.suffix not in (ONNX, PT2):
        raise ValueError(
            f"{path} must end in {ONNX}, in {PT2} for torch.export.load, or in"
            f" {' or '.join(WEIGHTS)} for other libraries"
        )
    check_place(path, "model")
    if int8 and path.suffix != ONNX:
        raise ValueError(f"eight bits are for {ONNX}; export {path.with_suffix(ONNX)}")
    if calibrate and not int8:
        raise ValueError("calibrate has no effect without int8; add it")
    if path.suffix == ONNX:
        check_onnx_installed()


def check_script(script: Path | None) -> None:
    """Refuse to write over a script of the user's own; None writes none.

    Raises:
        ValueError: If another file has the name of the one that is left beside a model.
    """
    ours = Path(infer.__file__).read_text(encoding="utf-8").splitlines()[:1]
    if (
        script is not None
        and script.exists()
        and (
            not script.is_file()
            or script.read_text(encoding="utf-8", errors="replace").splitlines()[:1] != ours
        )
    ):
        raise ValueError(
            f"{script} is not the one that an export leaves and would be overwritten; name another"
            " folder for the model"
        )


def write_script(script: Path | None) -> Path | None:
    """Put ``infer.py`` beside a file of ONNX, and give it back; None writes none."""
    if script is not None:
        write_atomic(script, Path(infer.__file__).read_bytes())
    return script


def find_part(
    predictor: Predictor,
    run: str | Path | RunRecord,
    data: Any = None,
    *,
    calibrate: bool = False,
    allow: Sequence[str] = (),
) -> tuple[Predictor, Part | None, tuple[str, ...]]:
    """Load what an exported file is compared on: of the data named, else of the run's own.

    Args:
        predictor: Of the run.
        run: The run, or a file of weights.
        data: A word or a description, or None.
        calibrate: Whether training examples are needed too: those of the run, if it is there.
        allow: Packages outside ``skipwise`` that may be imported.

    Returns:
        The predictor, of others' weights with the classes of the data named; the examples, or None
        where the data are gone; and what a reader should know.

    Raises:
        ValueError: If the data named cannot be read, or do not fit the network.
    """
    path = place_of(run)
    own, notes = _own(predictor, path, allow) if data is None or calibrate else (None, ())
    part = None if own is None else part_of(own)
    if data is not None:
        dataset, notes = loaded_for(predictor, brought_to(predictor, described(data))), ()
        if predictor.is_foreign:
            predictor, said = fit_to(predictor, path, dataset)
            notes = (said,)
        check_fits(predictor, dataset)
        part = part_of(dataset, named=True)
        part = part if own is None else replace(part, training=own.train)
    if calibrate and part is not None and part.training is part.examples:
        notes = (*notes, SEEN)
    return predictor, part, notes


def _own(
    predictor: Predictor, path: Path, allow: Sequence[str]
) -> tuple[Dataset | None, tuple[str, ...]]:
    if not path.is_dir():
        return None, (f"{path} alone has no data: compared on random examples, no test ones",)
    try:
        dataset = experiment_of(path, allow=allow).data.load()
        check_fits(predictor, dataset)
    except (ValueError, OSError) as error:
        return None, (f"compared on random examples, for its own data cannot be read: {error}",)
    changed = predictor.card.digest not in ("", dataset.digest)
    return dataset, ("the data of the run changed since it was trained",) if changed else ()


def card_for(predictor: Predictor, *, pictures: bool, resize: bool) -> dict[str, Any]:
    """Say what an exported file reads and gives, as plain data; it goes into the metadata.

    ``channels`` is 0 where it reads no pictures, ``size`` is empty where it reads any size.
    """
    card = predictor.card
    channels = predictor.preprocessing.channels if pictures else 0
    size = list(predictor.preprocessing.size) if pictures and not resize else []
    height, width = size or ("height", "width")
    reads = f"float32 (batch, {', '.join(map(str, card.inputs))})"
    if pictures:
        colours = "grey" if channels == 1 else "RGB"
        reads = f"uint8 (batch, {height}, {width}, {channels}), {colours}, 0 … 255"
    gives = {CLASSES: "probabilities of the classes", LABELS: "probabilities of the labels"}
    return {
        "task": card.task,
        "classes": list(card.classes),
        "input": reads,
        "output": gives.get(card.task, "numbers in the units of the target"),
        "channels": channels,
        "size": size,
        "data": card.data,
        "network": str(card.network.get("name", card.network.get("is", ""))),
    }
