"""From one to three parts of tensors to a data set that is ready to be trained on, checked."""

from dataclasses import dataclass

import torch
from torch import Tensor

from skipwise.data.augmentations import Augmentation, Flip, PadCrop
from skipwise.data.dataset import CLASSES, NUMBERS, Dataset, Examples, InMemory, digest_of
from skipwise.data.preprocess import Preprocessing, fit_preprocessing
from skipwise.data.split import are_classes, held_out
from skipwise.shapes import Ends


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How much is held out where the data have no parts of their own.

    Args:
        validation: Share of the training examples on which choices are made.
        test: Share of all examples that takes part in no choice.
        split_seed: Fixed for a data set: the test part never moves.
    """

    validation: float = 0.1
    test: float = 0.2
    split_seed: int = 0

    def __post_init__(self):
        for name, share in (("validation", self.validation), ("test", self.test)):
            if not 0 <= share < 1:
                raise ValueError(
                    f"{name} is a share of the data and must lie in [0, 1), got {share}"
                )


Part = tuple[Tensor, Tensor]


def assemble(
    name: str,
    parts: dict[str, Part],
    shares: Shares,
    *,
    classes: tuple[str, ...] = (),
    flip: bool = True,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Make a data set: hold out what is missing, check the targets, fit the preprocessing.

    Args:
        name: What tables call it.
        parts: ``train``, and ``validation`` and ``test`` where the data have them: raw inputs and
            targets.
        shares: What to hold out of ``train`` for the parts that are missing.
        classes: Names; their order is that of the class indices. Empty for numbers.
        flip: Whether the mirror image of a picture is as good an example.
        notes: What a reader should know.

    Raises:
        ValueError: If there is nothing to learn: no example, one class only.
    """
    digest = digest_of(*(tensor for part in sorted(parts) for tensor in parts[part]))
    parts, held = _hold_out(parts, shares)
    inputs, targets = parts["train"]
    if not len(targets):
        raise ValueError(f"{name} has no training example")
    is_class = are_classes(targets)
    if is_class:
        _check_classes(name, parts, classes)
    pictures = inputs.dim() == 4
    size = tuple(inputs.shape[2:]) if pictures else ()
    preprocessing = _preprocessing(inputs, targets, size, is_class=is_class)
    outputs = (len(classes),) if is_class else tuple(targets.shape[1:])
    examples: dict[str, Examples] = {part: InMemory(*found) for part, found in parts.items()}
    return Dataset(
        name=name,
        task=CLASSES if is_class else NUMBERS,
        train=examples["train"],
        validation=examples.get("validation"),
        test=examples.get("test"),
        classes=classes if is_class else (),
        ends=Ends(inputs=tuple(inputs.shape[1:]), outputs=outputs),
        preprocessing=preprocessing,
        augmentation=_augmentation(size, flip) if is_class else (),
        notes=(*notes, *held),
        digest=digest,
        counts=tuple(torch.bincount(targets).tolist()) if is_class else (),
    )


def _hold_out(parts: dict[str, Part], shares: Shares) -> tuple[dict[str, Part], tuple[str, ...]]:
    parts, notes = dict(parts), []
    # Who brings train and validation but no test part keeps it so: nothing is carved out unasked.
    wanted = {
        "test": shares.test if "validation" not in parts else 0.0,
        "validation": shares.validation,
    }
    for part, share in wanted.items():
        if part in parts and len(parts[part][1]):
            continue
        parts.pop(part, None)
        inputs, targets = parts["train"]
        stay, out = held_out(targets, share, seed=shares.split_seed, purpose=part)
        if len(out):
            parts["train"], parts[part] = (inputs[stay], targets[stay]), (inputs[out], targets[out])
            notes.append(
                f"{len(out)} examples held out for {part} (split seed {shares.split_seed})"
            )
        else:
            notes.append(
                f"there is no {part} part"
                + (": no score is free of choices" if part == "test" else "")
            )
    return parts, tuple(notes)


def _check_classes(name: str, parts: dict[str, Part], classes: tuple[str, ...]) -> None:
    for part, (_, targets) in parts.items():
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= len(classes):
            raise ValueError(
                f"{name}: labels of the {part} part run from {low} to {high}, but there are"
                f" {len(classes)} classes, so they must lie in 0 … {len(classes) - 1}"
            )
    counts = torch.bincount(parts["train"][1], minlength=len(classes)).tolist()
    empty = [c for c, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise ValueError(
            f"{name}: class {empty[0]!r} has no training example; add some, or remove the class"
        )
    if len(classes) == 1:
        raise ValueError(
            f"{name} has one class only, {classes[0]!r}; there is nothing to tell apart"
        )


def _preprocessing(
    inputs: Tensor, targets: Tensor, size: tuple[int, ...], *, is_class: bool
) -> Preprocessing:
    if is_class or targets.shape[1:] != inputs.shape[1:]:
        return fit_preprocessing(inputs, size=size)
    # Target and input share a scale: y − x must stay what it is, so nothing is centred.
    scale = 255.0 if inputs.dtype == torch.uint8 else 1.0
    channels = inputs.shape[1]
    return Preprocessing(
        channels=channels,
        size=size,
        mean=(0.0,) * channels,
        std=(scale,) * channels,
        target_scale=scale,
    )


def _augmentation(size: tuple[int, ...], flip: bool) -> tuple[Augmentation, ...]:
    if not size or min(size) < 8:
        return ()
    crop = PadCrop(padding=max(min(size) // 8, 1))
    return (crop, Flip()) if flip else (crop,)
