"""An exported file against ``predict``, from picture files, before it is called good."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from skipwise.data import CLASSES, LABELS, Dataset, Examples
from skipwise.exports.infer import read
from skipwise.prediction import Predictor

Compute: TypeAlias = Callable[[np.ndarray], np.ndarray]
AsRead: TypeAlias = Callable[[Tensor], np.ndarray]
COUNT = 100
TOLERANCE = 1024 * torch.finfo(torch.float32).eps  # of sums in another order, network-deep
FEW = 16  # pictures that are shown at once


@dataclass(frozen=True, kw_only=True)
class Part:
    """Examples that an exported file is compared and scored on.

    Args:
        name: ``test``, ``validation`` or ``training``; ``all`` where data of no parts were named.
        examples: They.
        training: What ranges of eight bits are taken from.
    """

    name: str
    examples: Examples
    training: Examples


def part_of(dataset: Dataset, *, named: bool = False) -> Part:
    """Choose what a file is scored on: test examples, else validation ones, else all there are.

    Args:
        dataset: The data.
        named: Whether a user named them, so that their training part is just all of them.
    """
    rest = "all" if named else "training"
    found = {"test": dataset.test, "validation": dataset.validation, rest: dataset.train}
    name, examples = next((name, part) for name, part in found.items() if part is not None)
    return Part(name=name, examples=examples, training=dataset.train)


@dataclass(frozen=True, kw_only=True)
class Check:
    """How an exported file compares with ``predict``.

    Args:
        examples: How many examples were compared.
        what: Which they were.
        difference: The largest, between probabilities; of regression relative to the largest
            number.
        differing: How many classes differ where two are not as likely as each other.
    """

    examples: int
    what: str
    difference: float
    differing: int

    @property
    def good(self) -> bool:
        """Whether the two agree up to rounding in float32."""
        return self.difference <= TOLERANCE and not self.differing

    def __str__(self) -> str:
        return (
            f"equals predict on {self.examples} {self.what}: largest difference"
            f" {self.difference:.1e}, {TOLERANCE:.1e} allowed"
        )


def check(
    predictor: Predictor, compute: Compute, card: Mapping[str, Any], part: Part | None
) -> Check:
    """Compare an exported network with ours on some examples, or random ones without data.

    Pictures are written to files and read from there by both, ours by ``predict`` and the exported
    one by ``infer.py``. Every second file is larger than the network reads, so resizing is checked
    too. A batch of several is shown as well as single pictures.

    Args:
        predictor: Ours.
        compute: The exported network, from raw examples to its output.
        card: What the exported file says of itself.
        part: Where the examples come from, or None.
    """
    pictures = card["channels"] > 0
    examples, what = _examples(predictor, part, pictures=pictures)
    if not pictures:
        ours = expected(predictor, predictor.outputs(examples))
        theirs = compute(as_read(examples, predictor.card.inputs, pictures=False))
        return _compared(ours, theirs, predictor.card.task, f"{what}, as arrays")
    with TemporaryDirectory() as folder:
        files = [write_picture(Path(folder), n, raw) for n, raw in enumerate(examples)]
        outputs = torch.cat([some for _, some in predictor.outputs_of_files(files)])
        theirs = np.concatenate([compute(read(file, card)) for file in files])
        few = np.concatenate([read(file, card) for file in files[:FEW:2]])
    ours = expected(predictor, outputs)
    batch = _compared(ours[:FEW:2], compute(few), predictor.card.task, what)
    each = _compared(ours, theirs, predictor.card.task, f"{what}, from files")
    return batch if not batch.good else each


def as_read(raw: Tensor, shape: Sequence[int], *, pictures: bool) -> np.ndarray:
    """Turn raw examples into what an exported network reads.

    Args:
        raw: Shape ``(batch, *example)``; grey ones go into a network that reads colours.
        shape: Of an example, as the network reads it.
        pictures: Whether it reads pictures, whose channels go last.
    """
    whole = raw.expand(-1, *shape)
    return whole.permute(0, 2, 3, 1).contiguous().numpy() if pictures else whole.float().numpy()


def expected(predictor: Predictor, outputs: Tensor) -> np.ndarray:
    """Turn our outputs into what the exported network gives."""
    if predictor.card.task == CLASSES:
        outputs = outputs.double().softmax(1)
    elif predictor.card.task == LABELS:
        outputs = outputs.double().sigmoid()
    return outputs.numpy()


def write_picture(folder: Path, number: int, raw: Tensor) -> Path:
    """Write raw pixels ``(channels, height, width)`` to a file, every second one enlarged.

    It is stretched in width and height by turns: which pass Pillow begins with depends on that.
    """
    pixels = raw.permute(1, 2, 0).numpy()
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if number % 2:
        width, height = image.size
        is_wide = number % 4 == 1
        image = image.resize(
            (2 * width + 3, height + 2) if is_wide else (width + 2, 3 * height + 3)
        )
    path = folder / f"{number}.png"
    image.save(path)
    return path


def spread(examples: Examples, count: int) -> Tensor:
    """Give the raw inputs of some examples, from all of the part: it may be sorted by class."""
    rows = torch.linspace(0, len(examples) - 1, min(count, len(examples))).round().long()
    return examples.gather(rows)[0]


def _examples(predictor: Predictor, part: Part | None, *, pictures: bool) -> tuple[Tensor, str]:
    shape = tuple(predictor.card.inputs)
    kind = "pictures" if pictures else "examples"
    if part is None:
        noise = torch.Generator().manual_seed(0)
        if pictures:
            raw = torch.randint(0, 256, (COUNT, *shape), generator=noise, dtype=torch.uint8)
            return raw, f"random {kind}"
        preprocessing = predictor.preprocessing
        column = (-1,) + (1,) * (len(shape) - 1)
        mean, std = (torch.tensor(v).view(column) for v in (preprocessing.mean, preprocessing.std))
        return torch.randn(COUNT, *shape, generator=noise) * std + mean, f"random {kind}"
    which = "of all" if part.name == "all" else part.name
    return spread(part.examples, COUNT), f"{which} {kind}"


def _compared(ours: np.ndarray, theirs: np.ndarray, task: str, what: str) -> Check:
    gap = np.abs(ours - theirs)
    if task != CLASSES:
        scale = 1.0 if task == LABELS else max(float(np.abs(ours).max()), 1e-6)
        difference = float(gap.max()) / scale
        return Check(examples=len(ours), what=what, difference=difference, differing=0)
    best = theirs.argmax(1)[:, None]
    lost = ours.max(1) - np.take_along_axis(ours, best, 1)[:, 0]
    differing = int((lost > 2 * TOLERANCE).sum())
    return Check(examples=len(ours), what=what, difference=float(gap.max()), differing=differing)
