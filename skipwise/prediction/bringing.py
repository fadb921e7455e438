"""Data for a network that is trained: brought to its size, its classes and its normalisation."""

from dataclasses import replace
from pathlib import Path

import torch

from skipwise.data import (
    CLASSES,
    LABELS,
    NUMBERS,
    Arrays,
    Data,
    Dataset,
    Gallery,
    Own,
    Shares,
    in_short,
)
from skipwise.description import to_plain
from skipwise.finetuning import normalisation
from skipwise.prediction.predictor import AT_ONCE, BY_HAND, Predictor
from skipwise.weights import read_source


def fit_to(predictor: Predictor, path: Path, dataset: Dataset) -> tuple[Predictor, str]:
    """Give the predictor of others' weights for a data set: its size, classes and normalisation.

    Args:
        predictor: What :func:`load` gave.
        path: The file.
        dataset: The data.

    Returns:
        The predictor, and a sentence on what was taken.

    Raises:
        ValueError: If the network has another number of outputs than there are classes.
    """
    card = predictor.card
    if dataset.task != CLASSES or dataset.ends.outputs != card.outputs:
        raise ValueError(
            f"{path} is of a network with outputs {card.outputs},"
            f" {dataset.name} is {dataset.task} with outputs {dataset.ends.outputs}"
        )
    preprocessing, said = normalisation(read_source(path), dataset)
    fitted = replace(
        card,
        inputs=(card.inputs[0], *dataset.ends.inputs[1:]),
        classes=dataset.classes,
        preprocessing=to_plain(preprocessing),
    )
    taken = f"{path} has no card: its outputs are taken for the classes in their order; {said}"
    found = Predictor(predictor.model, fitted)
    found.views = predictor.views
    return found, taken


def brought_to(predictor: Predictor, data: Data) -> Data:
    """Hold nothing out of data that are only looked at; bring pictures to the network's size."""
    if isinstance(data, Gallery | Arrays | Own):
        data = replace(data, shares=Shares(validation=0.0, test=0.0))
    if isinstance(data, Gallery):
        wanted = predictor.preprocessing
        several = predictor.card.task == LABELS
        data = replace(data, size=wanted.size, channels=wanted.channels, multi_label=several)
    return data


def loaded_for(predictor: Predictor, data: Data) -> Dataset:
    """Load data that are only looked at: their classes go by their names, and they may lack some.

    Raises:
        ValueError: If they cannot be read, or have a class that the network does not know.
    """
    card = predictor.card
    by_name = card.task == CLASSES or (card.task == LABELS and isinstance(data, Gallery))
    known = tuple(card.classes) if by_name and not predictor.is_foreign else ()
    if isinstance(data, Own):
        return data.load(known, to_train=False)
    return data.load(known) if isinstance(data, Gallery | Arrays) else data.load()


def check_fits(predictor: Predictor, dataset: Dataset) -> None:
    """Refuse data of another task, shape or classes than the network's.

    Raises:
        ValueError: With what differs.
    """
    card = predictor.card
    if dataset.task != card.task or tuple(dataset.ends.outputs) != tuple(card.outputs):
        raise ValueError(
            f"the network was trained for {card.task} with outputs {card.outputs},"
            f" {dataset.name} is {dataset.task} with outputs {dataset.ends.outputs}"
        )
    if not predictor.reads(dataset.ends.inputs):
        raise ValueError(
            f"the network reads examples of shape {card.inputs},"
            f" {dataset.name} has {dataset.ends.inputs};{BY_HAND}"
        )
    some = torch.arange(1 if dataset.raw == "uint8" else min(len(dataset.train), AT_ONCE))
    predictor.check_units(dataset.train.gather(some)[0])
    if card.task != NUMBERS and dataset.classes != tuple(card.classes):
        pairs = zip(card.classes, dataset.classes, strict=True)
        known, found = zip(*(pair for pair in pairs if pair[0] != pair[1]), strict=True)
        raise ValueError(
            f"the classes differ: the network knows {in_short(known)},"
            f" {dataset.name} has {in_short(found)} in their places"
        )
