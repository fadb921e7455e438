"""From one to three parts of tensors to a data set that is ready to be trained on, checked."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace

import torch
from torch import Tensor

from skipwise.data.assembly.split import Shares, absent, are_classes, counted, hold_out
from skipwise.data.augmentations import Augmentation, Flip, PadCrop
from skipwise.data.dataset import (
    CLASSES,
    LABELS,
    NUMBERS,
    Dataset,
    InMemory,
    Stored,
    digest_of,
)
from skipwise.data.preprocess import Preprocessing, few_at_once, fit_preprocessing
from skipwise.shapes import Ends

Part = tuple[Tensor, Tensor]
APART = 30.0  # so many times as far do values of another unit spread, 255 for example


def assemble(
    name: str,
    parts: Mapping[str, Part | Stored],
    shares: Shares,
    *,
    classes: tuple[str, ...] = (),
    known: tuple[str, ...] = (),
    multi_label: bool = False,
    flip: bool = True,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Make a data set: hold out what is missing, check the targets, fit the preprocessing.

    Args:
        name: What tables call it.
        parts: ``train``, perhaps ``validation`` and ``test``: raw inputs and targets.
        shares: What to hold out of ``train`` for the parts that are missing.
        classes: Names in the order of the class indices; empty for numbers.
        known: The names to give outputs to, in their order, if the data may lack some.
        multi_label: Whether targets are rows of 0 and 1, one column per class.
        flip: Whether the mirror image of a picture is as good an example.
        notes: What a reader should know.

    Raises:
        ValueError: If there is nothing to learn, or a class is not among those that are known.
    """
    stored = {part: f if isinstance(f, Stored) else InMemory(*f) for part, f in parts.items()}
    digest = digest_of(*(array for part in sorted(stored) for array in stored[part].identity()))
    task = LABELS if multi_label else CLASSES if are_classes(stored["train"].targets) else NUMBERS
    _check_targets(name, stored, task, classes)
    stored, classes = _by_name(name, stored, classes, known)
    stored, held = _with_parts(stored, shares, task, classes)
    train, numbers = stored["train"], task == NUMBERS
    _check_present(name, train.targets, classes, may_lack=numbers or bool(known))
    size = train.shape[1:] if len(train.shape) == 3 else ()
    outputs = tuple(train.targets.shape[1:]) if numbers else (len(classes),)
    return Dataset(
        name=name,
        task=task,
        train=train,
        validation=stored.get("validation"),
        test=stored.get("test"),
        classes=() if numbers else classes,
        ends=Ends(inputs=train.shape, outputs=outputs),
        preprocessing=_preprocessing(name, train, size, numbers, shares.split_seed),
        augmentation=() if numbers else _augmentation(size, flip),
        notes=(*notes, *held, *_apart(train, shares.split_seed)),
        digest=digest,
        counts=counted(train.targets, classes) if task == CLASSES else (),
    )


def _with_parts(
    parts: dict[str, Stored], shares: Shares, task: str, classes: tuple[str, ...]
) -> tuple[dict[str, Stored], tuple[str, ...]]:
    rows, notes = hold_out({p: some.targets for p, some in parts.items()}, shares, task, classes)
    if len(rows) > 1:
        parts = parts | {part: parts["train"].subset(some) for part, some in rows.items()}
    return {part: examples for part, examples in parts.items() if len(examples)}, notes


def numbered(labels: Tensor, where: str, *, known: int = 0) -> tuple[str, ...]:
    """Name classes by their numbers, where nothing else names them.

    Args:
        labels: Of all examples.
        where: What messages call them.
        known: How many classes there are anyway, some of which the data may lack.

    Raises:
        ValueError: If a label is negative, or greater than any numbering of so few examples.
    """
    if not len(labels):
        return ()
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= max(len(labels), known):
        row = int((labels == (low if low < 0 else high)).nonzero()[0])
        raise ValueError(
            f"{where}: label {low if low < 0 else high} of example {row} is no class number;"
            " classes are numbered from 0 without gaps, unless they are named"
            " (skipwise.data.Own(dataset=…, classes=…)); to regress numbers, give floating point"
        )
    return tuple(str(number) for number in range(high + 1))


def _by_name(
    name: str, parts: dict[str, Stored], classes: tuple[str, ...], known: tuple[str, ...]
) -> tuple[dict[str, Stored], tuple[str, ...]]:
    """Give targets by the places that their classes have among those that are known, if any are.

    Raises:
        ValueError: If a class that occurs is not among them.
    """
    if not known:
        return parts, classes
    lacking = [set(absent(examples.targets, classes)) for examples in parts.values()]
    place = {c: n for n, c in enumerate(known)}
    strange = [c for c in classes if c not in place and not all(c in some for some in lacking)]
    if strange:
        raise ValueError(
            f"the classes differ: {name} has {in_short(strange)}, known are only"
            f" {in_short(known)}; rename or leave out the others"
        )
    places = torch.tensor([place.get(c, 0) for c in classes])
    found = {part: copy(examples) for part, examples in parts.items()}
    for examples in found.values():
        if are_classes(examples.targets):
            examples.targets = places[examples.targets]
        else:  # a class that does not occur adds nothing
            rows = examples.targets.new_zeros(len(examples), len(known))
            examples.targets = rows.index_add(1, places, examples.targets)
    return found, known


def in_short(names: Sequence[str]) -> str:
    """Name three at most.

    >>> in_short("abcde"), in_short("abc")
    ('a, b, c and 2 more', 'a, b, c')
    """
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _check_targets(
    name: str, parts: dict[str, Stored], task: str, classes: tuple[str, ...]
) -> None:
    if not len(parts["train"]):
        raise ValueError(f"{name} has no training example")
    if task == LABELS and not classes:
        raise ValueError(f"{name} has no label in any row; there is nothing to learn")
    if task != CLASSES:
        return
    for part, examples in parts.items():
        if not len(examples):
            continue
        low, high = int(examples.targets.min()), int(examples.targets.max())
        if low < 0 or high >= len(classes):
            shifted = low == 1 and high == len(classes)
            raise ValueError(
                f"{name}: labels of the {part} part run from {low} to {high}, but there are"
                f" {len(classes)} classes, so they must lie in 0 … {len(classes) - 1}"
                f"{'; they begin at 1: subtract 1' if shifted else ''}"
            )


def _check_present(name: str, targets: Tensor, classes: tuple[str, ...], *, may_lack: bool) -> None:
    if len(classes) == 1 and are_classes(targets):
        raise ValueError(
            f"{name} has one class only, {classes[0]!r}; there is nothing to tell apart"
        )
    if not may_lack and (empty := absent(targets, classes)):
        raise ValueError(
            f"{name}: class {empty[0]!r} has no training example; add some, or remove the class"
        )


def _preprocessing(
    name: str, train: Stored, size: tuple[int, ...], numbers: bool, seed: int
) -> Preprocessing:
    (inputs, rows), targets = train.sample(seed), train.targets
    if not numbers or targets.shape[1:] != inputs.shape[1:]:
        first = next(few_at_once(inputs, rows, 1))[:, :, :1, :1] if size else inputs
        if size and all(bool((part == first).all()) for part in few_at_once(inputs, rows, 256)):
            raise ValueError(
                f"{name}: the pictures to learn from, or to score, are all of one and the same"
                " colour; there is nothing to see in them, so look at how they were made"
            )
        fitted = fit_preprocessing(inputs, rows, size=size)
        if not numbers:
            return fitted
        # One mean and one scale for all numbers of a target: the objective stays what it is.
        mean, std = float(targets.double().mean()), float(targets.double().std(correction=0))
        return replace(fitted, target_mean=mean, target_scale=std or 1.0)
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


def _apart(train: Stored, seed: int) -> tuple[str, ...]:
    """Say so where inputs and targets of one shape, which share a scale, differ in theirs."""
    if are_classes(train.targets) or train.targets.shape[1:] != train.shape:
        return ()
    inputs, rows = train.sample(seed)
    inputs = inputs if rows is None else inputs[rows]
    spreads = [float(part.double().std()) for part in (inputs, train.targets)]
    low, high = sorted(spreads)
    if high <= APART * low:
        return ()
    return (
        "inputs and targets have one shape, so their scale is taken for one too, but they spread by"
        f" {spreads[0]:.3g} and {spreads[1]:.3g}; bring them to one scale",
    )


def _augmentation(size: tuple[int, ...], flip: bool) -> tuple[Augmentation, ...]:
    if not size or min(size) < 8:
        return ()
    crop = PadCrop(padding=max(min(size) // 8, 1))
    return (crop, Flip()) if flip else (crop,)
