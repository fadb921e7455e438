"""A run's weights for another library's network: tensors under its names, and nothing beside them.

Such a file has no preprocessing and no classes, so these are said where it is written.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from skipwise.data import CLASSES, LABELS
from skipwise.files import check_place
from skipwise.prediction import Predictor, load
from skipwise.records import RunRecord, place_of
from skipwise.weights import BEST, check_library, only_library, save_as

FEW = 10  # classes that are named


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A file of tensors that was written, and what it does not say itself.

    Args:
        path: The file.
        size_bytes: Its size.
        library: Whose names its tensors bear.
        network: What it is of.
        inputs: Shape of an example, channels first.
        mean: Taken from each channel of raw examples (pictures in uint8: 0 to 255).
        std: What they are then divided by.
        outputs: What comes out.
        classes: In the order of the outputs.
        notes: What a reader should know.
    """

    path: Path
    size_bytes: int
    library: str
    network: str
    inputs: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    outputs: str
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        mean, std = (", ".join(f"{value:.4g}" for value in some) for some in (self.mean, self.std))
        shape = ", ".join(map(str, self.inputs))
        named = ", ".join(self.classes[:FEW]) + (" …" if len(self.classes) > FEW else "")
        lines = [
            f"{self.path}: {self.size_bytes / 1e6:.2f} MB, {self.network or 'the network'} under"
            f" the names of {self.library}, tensors alone",
            f"it reads float32 (batch, {shape}): raw examples less {mean}, divided by {std}",
            f"it gives {self.outputs}" + (f": {named}" if named else ""),
        ]
        return "\n".join([*lines, *self.notes])


def export_weights(
    run: str | Path | RunRecord,
    path: str | Path,
    *,
    format: str | None = None,
    allow: Iterable[str] = (),
) -> Weights:
    """Write a run's best weights such that another library's network loads them, strictly.

    Args:
        run: The run's folder, its record, or a file of weights, ours or others'.
        path: What to write, ``.pth`` or ``.safetensors``; an older file is replaced.
        format: ``"torchvision"``, ``"timm"`` or ``"cifar"`` (akamaster's networks); None takes the
            one that has the network, if there is just one.
        allow: Packages outside ``skipwise`` that may be imported to build the network.

    Returns:
        What was written.

    Raises:
        ValueError: If no library, or not the one named, has the network, or the file cannot be
            written.
    """
    path, source = Path(path), place_of(run)
    check_place(path, "weights")
    if path.resolve() == (source / BEST if source.is_dir() else source).resolve():
        raise ValueError(f"{path} is the file that is read; name another")
    predictor = load(run, allow=allow)
    library = format or only_library(predictor.model)
    if format is not None:
        check_library(predictor.model, format)
    save_as(path, predictor.model, library)
    card, preprocessing = predictor.card, predictor.preprocessing
    return Weights(
        path=path,
        size_bytes=path.stat().st_size,
        library=library,
        network=str(card.network.get("name", "")),
        inputs=tuple(card.inputs),
        mean=tuple(preprocessing.mean),
        std=tuple(preprocessing.std),
        outputs=_outputs(predictor),
        classes=card.classes,
        notes=tuple(_notes(predictor, library)),
    )


def _outputs(predictor: Predictor) -> str:
    if predictor.card.task == CLASSES:
        return "logits of the softmax of the classes, in this order"
    if predictor.card.task == LABELS:
        return "a logit of the sigmoid for each label, in this order"
    used = predictor.preprocessing
    return f"numbers that, times {used.target_scale:g} plus {used.target_mean:g}, are the targets"


def _notes(predictor: Predictor, library: str) -> Iterable[str]:
    if library != "cifar" and isinstance(predictor.model.get_submodule("stem.pool"), nn.Identity):
        yield (
            "its stem is a convolution without pooling, for small pictures: give the network there"
            " the same before it loads the file"
        )
    if predictor.views is not None:
        yield "predict also averages over views of a picture; the file has one of them"
