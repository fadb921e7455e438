"""A run as one file that works alone: write it, check it against ``predict``, then put it there."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from skipwise.data import Views
from skipwise.exports.checking import TOLERANCE, AsRead, Check, Compute, Part, as_read, check
from skipwise.exports.folding import Folding, fold
from skipwise.exports.program import Program
from skipwise.exports.quantising import Loss, calibration_of, loss_of, quantise
from skipwise.exports.target import (
    ONNX,
    SCRIPT,
    card_for,
    check_script,
    check_target,
    find_part,
    write_script,
)
from skipwise.exports.timing import Speed, speeds
from skipwise.exports.writing import (
    capture,
    not_followed,
    open_onnx,
    open_pt2,
    write_onnx,
    write_pt2,
)
from skipwise.files import naming, write_atomic
from skipwise.prediction import Predictor, load
from skipwise.records import RunRecord

_AS_TRAINED: Any = object()  # no views are None


@dataclass(frozen=True, kw_only=True)
class Export:
    """A file that was written, checked and put in its place.

    Args:
        path: The file.
        size_bytes: Its size.
        reads: What it reads: type, shape, colours.
        check: How it compares with ``predict``, in float32.
        folding: What became of the norms.
        speed: How long it takes on this machine, in seconds.
        speed_before: Likewise before eight bits; None in float32.
        loss: What eight bits cost; None in float32.
        script: The file ``infer.py`` beside it, or None.
        notes: What a reader should know.
    """

    path: Path
    size_bytes: int
    reads: str
    check: Check
    folding: Folding
    speed: Speed
    speed_before: Speed | None = None
    loss: Loss | None = None
    script: Path | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.size_bytes / 1e6:.2f} MB, reads {self.reads}"]
        whole = f"before eight bits: {self.check}" if self.loss else str(self.check)
        lines += [str(self.folding), whole, *([str(self.loss)] if self.loss else [])]
        before = f"; before eight bits {self.speed_before}" if self.speed_before else ""
        lines.append(f"on this machine {self.speed}{before}")
        lines += self.notes
        if self.script is not None:
            lines.append(f"try it: python {self.script} {self.path} picture.png …")
        return "\n".join(lines)


def export(
    run: str | Path | RunRecord,
    path: str | Path,
    *,
    data: Any = None,
    resize: bool = False,
    int8: bool = False,
    calibrate: bool = False,
    views: Views | str | None = _AS_TRAINED,
    allow: Iterable[str] = (),
) -> Export:
    """Write a run's best weights as ONNX or for ``torch.export.load``, preprocessing included.

    Pictures are read as Pillow and numpy give them: uint8, ``(batch, height, width, channels)``,
    grey or RGB; other examples as float32 in the shape of the training. Probabilities come out
    (softmax; sigmoid for several labels), or the numbers of a regression in their units. The
    metadata say all of it. The file is compared with ``predict`` on 100 test examples, pictures
    from files, and put in its place only if they agree.

    Args:
        run: The run's folder, its record, or a file of weights, ours or others'.
        path: What to write, ``.onnx`` or ``.pt2``; an older file is replaced.
        data: Data to compare on, a word or a description; the run's own if None.
        resize: Whether pictures of any size are resized inside. Otherwise they have the network's
            size, and ``infer.py`` resizes with Pillow, which is faster for large ones.
        int8: Whether to store and multiply in eight bits (ONNX).
        calibrate: Whether the ranges of eight bits are taken from training examples beforehand.
        views: Views of a picture over which outputs are averaged inside, ``"flip"`` for example;
            those of the run if left out.
        allow: Packages outside ``skipwise`` that may be imported to build the network.

    Returns:
        What was written, and how it compares.

    Raises:
        ValueError: If it cannot be written or exported, or differs from ``predict``.
    """
    path, allow = Path(path), tuple(allow)
    check_target(path, int8=int8, calibrate=calibrate)
    predictor = load(run, allow=allow)
    if views is not _AS_TRAINED:
        predictor.show(views)
    predictor, part, notes = find_part(predictor, run, data, calibrate=calibrate, allow=allow)
    if int8 and part is None:
        raise ValueError(f"name data with --data to measure what eight bits lose: {notes[0]}")
    options = {"resize": resize, "int8": int8, "calibrate": calibrate, "notes": notes}
    return _exported(predictor, part, path, **options)


def _exported(
    predictor: Predictor,
    part: Part | None,
    path: Path,
    *,
    resize: bool,
    int8: bool,
    calibrate: bool,
    notes: tuple[str, ...],
) -> Export:
    pictures = reads_pictures(predictor, part)
    if resize and not pictures:
        raise ValueError(
            f"only pictures are resized, and the network reads arrays {predictor.card.inputs}"
        )
    script = path.with_name(SCRIPT) if path.suffix == ONNX and pictures else None
    check_script(script)
    card = card_for(predictor, pictures=pictures, resize=resize)
    program, folding = _program(predictor, pictures=pictures, resize=resize)
    example = _example(predictor, pictures=pictures)
    with TemporaryDirectory() as folder, naming(Path(folder)):
        made = Path(folder) / f"float32{path.suffix}"
        compute = _written(program, example, made, card)
        found = check(predictor, compute, card, part)
        if not found.good:
            raise ValueError(_refusal(path, found))
        files, loss = [compute], None
        if int8 and part is not None:
            reading = partial(as_read, shape=predictor.card.inputs, pictures=pictures)
            made, eight, loss = _in_eight_bits(
                made, compute, part, reading, task=card["task"], calibrate=calibrate
            )
            files.append(eight)
        *before, speed = speeds(files, example[:1].numpy())
        content = made.read_bytes()
    write_atomic(path, content)
    return Export(
        path=path,
        size_bytes=len(content),
        reads=card["input"],
        check=found,
        folding=folding,
        speed=speed,
        speed_before=before[0] if before else None,
        loss=loss,
        script=write_script(script),
        notes=notes,
    )


def reads_pictures(predictor: Predictor, part: Part | None) -> bool:
    """Whether it was trained on pictures in uint8, not on arrays of numbers.

    Without the data, the units of the normalisation tell: uint8 reaches to 255.
    """
    if not predictor.reads_files:
        return False
    if predictor.card.raw:
        return predictor.card.raw == "uint8"
    if part is None:
        return min(predictor.preprocessing.std) > 2
    return part.examples.gather(torch.tensor([0]))[0].dtype == torch.uint8


def _written(program: nn.Module, example: Tensor, path: Path, card: dict[str, Any]) -> Compute:
    captured = capture(program, example, any_size=card["channels"] > 0 and not card["size"])
    if path.suffix == ONNX:
        write_onnx(captured, path, card)
        return open_onnx(path)
    write_pt2(captured, path, card)
    return open_pt2(path)


def _program(predictor: Predictor, *, pictures: bool, resize: bool) -> tuple[nn.Module, Folding]:
    units = 255 if pictures or predictor.card.raw == "uint8" else 1
    raw = units * _example(predictor, pictures=False)
    try:
        network, folding = fold(predictor.model, predictor.preprocessing(raw))
    except Exception as error:
        raise ValueError(not_followed(error)) from None
    program = Program(
        network,
        predictor.preprocessing,
        task=predictor.card.task,
        views=predictor.views,
        pictures=pictures,
        resize=resize,
    )
    return program.eval(), folding


def _example(predictor: Predictor, *, pictures: bool) -> Tensor:
    """Give two random examples as the file will read them."""
    noise = torch.Generator().manual_seed(0)
    if not pictures:
        return torch.rand(2, *predictor.card.inputs, generator=noise)
    shape = (2, *predictor.preprocessing.size, predictor.preprocessing.channels)
    return torch.randint(0, 256, shape, generator=noise, dtype=torch.uint8)


def _in_eight_bits(
    whole: Path, compute: Compute, part: Part, reading: AsRead, *, task: str, calibrate: bool
) -> tuple[Path, Compute, Loss]:
    target = whole.with_name(f"int8{ONNX}")
    calibration = calibration_of(part.training, reading) if calibrate else None
    quantise(whole, target, calibration=calibration)
    eight = open_onnx(target)
    return target, eight, loss_of({whole: compute, target: eight}, part, task, reading)


def _refusal(path: Path, found: Check) -> str:
    classes = f" and in {found.differing} classes" if found.differing else ""
    return (
        f"{path} was not written: what it computes differs from predict by"
        f" {found.difference:.1e}{classes} on {found.examples} {found.what}; rounding makes at most"
        f" {TOLERANCE:.1e}"
    )
