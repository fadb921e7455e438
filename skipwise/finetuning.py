"""Fine-tuning: what a run takes from a file of weights, and which parts of it stay as they are.

The file decides the network, unless one was asked for, and the stem in any case; the preprocessing
is the one that its weights were trained with. All this is settled before the run begins and stands
in its experiment; the tensors are read once, at step 0.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from torch import nn

from skipwise.data import Dataset, Preprocessing, imagenet_preprocessing
from skipwise.description import Call, from_plain
from skipwise.networks import Network, NetworkDescription
from skipwise.shapes import Ends
from skipwise.weights import Source, adapted, fill, read_source

TRUNK = "trunk"  # to freeze all but the head
GREY, COLOUR = 1, 3
MOST_ALIKE = 10.0  # a ratio of spreads beyond which units are likely to differ


def settle(
    path: str | Path,
    dataset: Dataset,
    network: NetworkDescription | Call | None = None,
    *,
    allow: Iterable[str] = (),
) -> tuple[NetworkDescription | Call, Preprocessing]:
    """Say which network and which preprocessing a run that begins from a file has.

    Args:
        path: The file of weights, or a run's folder.
        dataset: What it is fine-tuned on.
        network: The network that was asked for; it gets the file's stem. None: the file's own.
        allow: Packages outside ``skipwise`` that the file's card may name.

    Raises:
        ValueError: If the file cannot be read, does not tell its network, or reads grey pictures
            where the data have colours.
    """
    source = read_source(path)
    channels = dataset.ends.inputs[0]
    if _are_pictures(dataset) and source.channels == GREY and channels == COLOUR:
        raise ValueError(
            f"{path} reads grey pictures, {dataset.name} has colours; make them grey"
            " (of a folder: --set data.channels=1), or begin from other weights"
        )
    found = source.network(allow=allow) if network is None else adapted(network, source)
    return found, normalisation(source, dataset)[0]


def normalisation(source: Source, dataset: Dataset) -> tuple[Preprocessing, str]:
    """Choose how inputs are normalised, and say so in a sentence.

    Our card says how it was done in training. Of others' files it is known for pictures in uint8:
    with ImageNet's mean and deviation. Anything else keeps the data's own.

    Args:
        source: The file of weights.
        dataset: The data that its network is to read.
    """
    own = dataset.preprocessing
    if _are_pictures(dataset) and own.channels == GREY and source.channels == COLOUR:
        own = replace(own, channels=COLOUR, mean=own.mean * COLOUR, std=own.std * COLOUR)
    if _does_nothing(own):
        return own, "the data come normalised, and stay so"
    of_targets = {"target_mean": own.target_mean, "target_scale": own.target_scale}
    if source.card is not None:
        theirs = from_plain(source.card.preprocessing, where=f"the card of {source.path}")
        if _same_outputs(source, dataset):  # the head is kept, and gives numbers in those units
            of_targets = {"target_mean": theirs.target_mean, "target_scale": theirs.target_scale}
            own = replace(own, **of_targets)
        if not _does_nothing(theirs):
            used = replace(theirs, size=own.size, **of_targets)
            return used, "inputs are normalised as the file's were in its training" + _units(
                own, used
            )
    elif _are_pictures(dataset) and own.channels == COLOUR:
        raw = dataset.train.gather(torch.tensor([0]))[0]
        if raw.dtype == torch.uint8:
            halves = source.reads_halves
            of = "one half, as timm's resnetv2 reads them" if halves else "ImageNet"
            said = f"pictures are normalised with the mean and deviation of {of}"
            return replace(imagenet_preprocessing(own.size, halves=halves), **of_targets), said
    said = "inputs are normalised by their own mean and deviation: the file does not say how its"
    return own, f"{said} were"


def _does_nothing(preprocessing: Preprocessing) -> bool:
    return set(preprocessing.mean) == {0.0} and set(preprocessing.std) == {1.0}


def _units(own: Preprocessing, used: Preprocessing) -> str:
    ratio = math.exp(fmean(map(math.log, own.std)) - fmean(map(math.log, used.std)))
    if 1 / MOST_ALIKE < ratio < MOST_ALIKE:
        return ""
    return f"; these spread {ratio:.3g} times as far: are they in the same units?"


def prepared(dataset: Dataset, preprocessing: Preprocessing | None) -> Dataset:
    """Give a data set another preprocessing, and the ends that a network has behind it."""
    if preprocessing is None:
        return dataset
    ends = dataset.ends
    if _are_pictures(dataset) and ends.inputs[0] == GREY and preprocessing.channels == COLOUR:
        ends = Ends(inputs=(COLOUR, *ends.inputs[1:]), outputs=ends.outputs)
    return replace(dataset, preprocessing=preprocessing, ends=ends)


def begin_from(path: str | Path, model: nn.Module, dataset: Dataset) -> tuple[str, ...]:
    """Fill a new network from a file; its head stays as drawn where the classes differ.

    Args:
        path: The file of weights, or a run's folder.
        model: The network, built for the data.
        dataset: The data, as they lie on the disk.

    Returns:
        What was matched, replaced and left out, and how inputs are normalised.

    Raises:
        ValueError: If the file cannot be read or does not fit.
    """
    source = read_source(path)
    said = fill(model, source, keep_head=_same_outputs(source, dataset))
    used, of_inputs = normalisation(source, dataset)
    said = (*said, of_inputs)
    if source.stem is not None:
        said = (*said, f"the file's stem: {source.stem.words}")
    grey = used.channels == COLOUR and dataset.preprocessing.channels == GREY
    return (*said, "grey pictures are repeated to three channels") if grey else said


def _same_outputs(source: Source, dataset: Dataset) -> bool:
    card, ends = source.card, dataset.ends
    if card is None:
        return len(ends.outputs) == 1 and source.outputs == ends.outputs[0]
    same = tuple(card.classes) == dataset.classes
    return same and card.task == dataset.task and card.outputs == ends.outputs


def check_freeze(freeze: int | str | None, weights: str | None) -> None:
    """Refuse to keep as they are parts of a network that begins anew.

    Raises:
        ValueError: If parts are to be frozen, and no weights are named.
    """
    if freeze is not None and weights is None:
        raise ValueError(
            "freeze keeps parts of what a file of weights gives, and none is named; name one with"
            " --weights (in Python weights=…), or leave freeze out"
        )


def freeze_parts(model: nn.Module, freeze: int | str | None) -> tuple[nn.Module, ...]:
    """Freeze the stem and the first blocks: they learn nothing and cost no backward pass.

    Args:
        model: The network.
        freeze: How many blocks beside the stem; ``"trunk"`` for all but the head; None for nothing.

    Returns:
        The frozen parts, which stay in evaluation mode.

    Raises:
        ValueError: If the network has no blocks, or not so many.
    """
    if freeze is None:
        return ()
    network = _with_blocks(model, "freeze")
    blocks = list(network.trunk.blocks)
    if isinstance(freeze, int) and freeze > len(blocks):
        raise ValueError(
            f"the network has {len(blocks)} blocks, and freeze={freeze} asks for more;"
            f" {TRUNK!r} freezes all but the head"
        )
    trunk = [network.trunk] if isinstance(freeze, str) else blocks[:freeze]
    parts = (network.stem, *trunk)
    for part in parts:
        part.requires_grad_(requires_grad=False)
    return parts


def freezable_parts(model: nn.Module) -> tuple[nn.Module, ...]:
    """Give what progressive freezing may stop, one after the other: the stem and the blocks.

    Raises:
        ValueError: If the network has no blocks.
    """
    network = _with_blocks(model, "strategy.freezing")
    return (network.stem, *network.trunk.blocks)


def distances_from_head(model: nn.Module) -> dict[str, int]:
    """Count the blocks between each parameter and the head, its own among them.

    The last block's are at 1, the stem's at one more than there are blocks; the head's, and those
    of the norm before it, at 0.

    Raises:
        ValueError: If the network has no blocks.
    """
    network = _with_blocks(model, "strategy.layer_decay")
    depth = len(network.trunk.blocks)
    found = {}
    for name, _ in network.named_parameters():
        part, *rest = name.split(".")
        inside = part == "trunk" and rest[0] == "blocks"
        found[name] = depth + 1 if part == "stem" else depth - int(rest[1]) if inside else 0
    return found


def _with_blocks(model: nn.Module, setting: str) -> Network:
    if isinstance(model, Network):
        return model
    raise ValueError(
        f"{setting} counts blocks from the stem to the head, and this network"
        f" ({type(model).__name__}) is not made of stem, blocks and head; leave it out"
    )


def _are_pictures(dataset: Dataset) -> bool:
    return len(dataset.ends.inputs) == 3
