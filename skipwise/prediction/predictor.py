"""A trained network with its card, which predicts files or arrays."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import final

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor, nn

from skipwise.data import (
    CLASSES,
    LABELS,
    NUMBERS,
    Examples,
    Preprocessing,
    UnreadablePicture,
    Views,
    check_pictures,
    find_views,
    imagenet_preprocessing,
    mean_over_views,
    read_picture,
)
from skipwise.description import from_plain
from skipwise.files import EXPERIMENT
from skipwise.records import RunRecord, place_of
from skipwise.shapes import Ends
from skipwise.weights import (
    BEST,
    Card,
    card_of,
    ends_of,
    load_network,
    load_weights,
    read_source,
)

# Numbers need be no pictures, and how these were made smaller would be part of the score.
BY_HAND = (
    " arrays are taken as they are, only picture files are resized: bring the arrays to that shape,"
    " or save the pictures as files"
)
AT_ONCE = 256  # examples, so that many do not fill the memory
Shown = str | Path | Image  # a file, or a picture that is open


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the network says of one example.

    Args:
        source: The file, or the example's number.
        label: The likeliest class; of several labels those whose probability is at least one half,
            ``beach+sea``, or nothing.
        probability: Of the likeliest class.
        probabilities: Of every class, by name.
    """

    source: str
    label: str
    probability: float
    probabilities: dict[str, float]


@final
class Predictor:
    """A trained network with its classes and preprocessing.

    Args:
        model: In evaluation mode.
        card: What it is for.

    ``views``, over which outputs are averaged, are those of the card unless they are changed.
    """

    def __init__(self, model: nn.Module, card: Card):
        self.model, self.card = model, card
        where = "the weights' card"
        self.preprocessing: Preprocessing = from_plain(card.preprocessing, where=where)
        self.views: Views | None = None
        if card.views is not None:
            self.views = from_plain(card.views, where=where)

    def show(self, views: Views | str | None) -> None:
        """Average outputs over other views from here on, ``"flip"`` for example, or over none.

        Raises:
            ValueError: If it reads no pictures, or its outputs have places that would move.
        """
        views = find_views(views)
        check_pictures((), views, Ends(inputs=self.card.inputs, outputs=self.card.outputs))
        self.views = views

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the outputs."""
        return self.card.classes

    @property
    def is_foreign(self) -> bool:
        """Whether the weights are of others: their classes have numbers, no names."""
        return not self.card.data

    @property
    def reads_files(self) -> bool:
        """Whether its examples may be picture files: grey or RGB, and as whole numbers."""
        is_picture = bool(self.preprocessing.size) and self.preprocessing.channels in (1, 3)
        return is_picture and self.card.raw in ("", "uint8")

    def reads(self, shape: Iterable[int]) -> bool:
        """Whether it reads raw examples of this shape: its own, or grey in place of colours."""
        channels, *space = self.card.inputs
        grey = (1, *space) if channels == 3 and len(space) == 2 else None
        return tuple(shape) in (tuple(self.card.inputs), grey)

    def outputs(self, inputs: Tensor | np.ndarray, called: Sequence[object] = ()) -> Tensor:
        """Give raw outputs for raw inputs: logits for classes, numbers in the target's units else.

        Args:
            inputs: Shape ``(batch, *example)``, pictures as uint8 with channels first; grey ones
                go into a network that reads colours.
            called: How messages call the examples; by their numbers if empty.

        Raises:
            ValueError: If the examples have another shape than those of the training, or one is
                not finite.
        """
        raw = torch.as_tensor(inputs)
        if not self.reads(raw.shape[1:]):
            raise ValueError(
                f"examples must have shape {self.card.inputs}, got {tuple(raw.shape[1:])};{BY_HAND}"
            )
        self.check_units(raw)
        _check_finite(raw, called or range(len(raw)))
        first = next(self.model.parameters(), None)
        device = raw.device if first is None else first.device
        with torch.inference_mode():
            found = [self._outputs(some.to(device)) for some in raw.split(AT_ONCE)]
        return self.preprocessing.unscaled(torch.cat(found))

    def _outputs(self, raw: Tensor) -> Tensor:
        return mean_over_views(self.model, self.preprocessing(raw), self.views).float().cpu()

    def check_units(self, raw: Tensor) -> None:
        """Refuse pictures in other units than those of the training.

        Raises:
            ValueError: If they lie in 0 … 1 and those in 0 … 255, or the other way round.
        """
        if not self.preprocessing.size:
            return
        if raw.is_floating_point() and _are_shares(raw, self.preprocessing):
            raise ValueError(
                "the pictures lie in 0 … 1, and the network was trained on 0 … 255; give uint8, or"
                " multiply by 255"
            )
        if raw.dtype == torch.uint8 and self.card.raw.startswith("float"):
            raise ValueError(
                "the network was trained on floating point numbers; give pictures as these were"
            )

    def predict(
        self, inputs: Tensor | np.ndarray | Examples | Shown | Sequence[Shown]
    ) -> list[Prediction]:
        """Predict the classes of arrays, of a part of a data set, of picture files or of pictures.

        Pictures are those that Pillow has opened.

        Raises:
            TypeError: If an input is something else.
            ValueError: If the network does not give classes, or an input does not fit.
        """
        if isinstance(inputs, Examples):
            some = torch.arange(len(inputs)).split(AT_ONCE)
            pairs = zip(map(inputs.called, some), inputs.stream(some), strict=True)
            said = (self.named(self.outputs(raw, names), names) for names, (raw, _) in pairs)
            return list(chain.from_iterable(said))
        if isinstance(inputs, Tensor | np.ndarray):
            return self.named(self.outputs(inputs), [str(n) for n in range(len(inputs))])
        if isinstance(inputs, Shown) or not isinstance(inputs, Iterable):
            inputs = [inputs]
        given = list(inputs)
        if stray := [type(each).__name__ for each in given if not isinstance(each, Shown)]:
            raise TypeError(
                "predict takes picture files, pictures of Pillow, several of these, one array of"
                " shape (batch, *example), or a part of a data set; got"
                f" {stray[0]}; stack arrays into one"
            )
        found = self.predict_files([Path(p) if isinstance(p, str) else p for p in given])
        return [
            replace(said, source=str(n)) if isinstance(given[n], Image) else said
            for n, said in enumerate(found)
        ]

    def predict_files(
        self,
        paths: Iterable[Path | Image],
        *,
        batch_size: int = 64,
        skipped: list[UnreadablePicture] | None = None,
    ) -> Iterator[Prediction]:
        """Predict the classes of picture files, in their order; see :meth:`outputs_of_files`."""
        for files, outputs in self.outputs_of_files(paths, batch_size=batch_size, skipped=skipped):
            yield from self.named(outputs, files)

    def outputs_of_files(
        self,
        paths: Iterable[Path | Image],
        *,
        batch_size: int = 64,
        skipped: list[UnreadablePicture] | None = None,
    ) -> Iterator[tuple[list[str], Tensor]]:
        """Yield the names of some picture files, in their order, and their raw outputs.

        Args:
            paths: The files.
            batch_size: How many at once.
            skipped: Takes the errors of files that cannot be read, which are left out; if None the
                first ends it.

        Raises:
            ValueError: If the network does not read pictures, or a file is none; the file is named.
        """
        if not self.reads_files:
            kind = " of floating point" if self.card.raw.startswith("float") else ""
            raise ValueError(
                f"this network reads examples{kind} of shape {self.card.inputs}, not picture files"
            )
        paths = list(paths)
        with ThreadPoolExecutor(max(torch.get_num_threads(), 1)) as pool:
            for start in range(0, len(paths), batch_size):
                chunk = paths[start : start + batch_size]
                read = list(zip(chunk, pool.map(self._read, chunk), strict=True))
                bad = [found for _, found in read if isinstance(found, UnreadablePicture)]
                if bad and skipped is None:
                    raise bad[0]
                if skipped is not None:
                    skipped.extend(bad)
                good = [(str(path), found) for path, found in read if isinstance(found, Tensor)]
                if good:
                    names, pictures = zip(*good, strict=True)
                    yield list(names), self.outputs(torch.stack(pictures))

    def _read(self, path: Path | Image) -> Tensor | UnreadablePicture:
        wanted = self.preprocessing
        try:
            return read_picture(path, channels=wanted.channels, size=wanted.size)
        except UnreadablePicture as error:
            return error

    def named(self, outputs: Tensor, sources: Sequence[str]) -> list[Prediction]:
        """Read raw outputs as classes.

        Args:
            outputs: Logits, shape ``(batch, classes)``.
            sources: What the examples are called.

        Raises:
            ValueError: If they are numbers.
        """
        if self.card.task == NUMBERS:
            raise ValueError("this network gives numbers, not classes; use outputs()")
        several = self.card.task == LABELS
        found = []
        probabilities = outputs.double().sigmoid() if several else outputs.double().softmax(1)
        for source, row in zip(sources, probabilities.tolist(), strict=True):
            best = max(range(len(row)), key=row.__getitem__)
            named = dict(zip(self.classes, row, strict=True))
            given = "+".join(name for name, value in named.items() if value >= 0.5)
            found.append(
                Prediction(
                    source=source,
                    label=given if several else self.classes[best],
                    probability=row[best],
                    probabilities=named,
                )
            )
        return found


def _are_shares(pictures: Tensor, preprocessing: Preprocessing) -> bool:
    low, high = float(pictures.min()), float(pictures.max())
    return min(preprocessing.std) > 2 and 0 <= low <= high <= 1 and high > 0  # black is black


def _check_finite(raw: Tensor, called: Sequence[object]) -> None:
    if raw.is_floating_point() and not (finite := torch.isfinite(raw)).all():
        which = called[int((~finite).nonzero()[0][0])]
        raise ValueError(f"input {which} holds NaN or infinity; mend or remove it")


def load(run: str | Path | RunRecord, *, allow: Iterable[str] = ()) -> Predictor:
    """Load the best weights of a run, or a file of weights, ours or others'.

    Weights of others are taken to read pictures normalised with ImageNet's mean and deviation (of
    timm's resnetv2 with one half), of 224 pixels, or 32 where the stem is that for small images;
    their classes are numbered.

    Args:
        run: The run's folder, its record, or a file ``.safetensors``, ``.pth`` or ``.npz``.
        allow: Packages outside ``skipwise`` that may be imported to build the network.

    Raises:
        ValueError: If there are no weights, or they do not tell their network.
    """
    place = place_of(run)
    path = place / BEST if place.is_dir() else place
    if path.with_name(EXPERIMENT).is_file() and not path.is_file():
        raise ValueError(f"{path} does not exist; a run has weights after its first evaluation")
    if not path.is_file():
        missing = "" if place.exists() else ", and does not exist"
        raise ValueError(
            f"{place} is neither a run's folder nor a file of weights{missing}; runs lie below"
            " runs/, and the run is named first"
        )
    source = read_source(path)
    if source.card is not None:
        return Predictor(*load_weights(path, allow=allow))
    network, ends = source.network(), ends_of(source)
    if ends.inputs[0] != 3:
        raise ValueError(
            f"{path} reads pictures of {ends.inputs[0]} channels and does not say how they are"
            " normalised; fine-tune it on data first: skipwise train DATA --weights"
        )
    card = card_of(
        network,
        ends,
        task=CLASSES,
        classes=tuple(str(number) for number in range(ends.outputs[0])),
        preprocessing=imagenet_preprocessing(ends.inputs[1:], halves=source.reads_halves),
        data="",
    )
    return Predictor(load_network(path), card)
