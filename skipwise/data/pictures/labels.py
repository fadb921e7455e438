"""Labels as they stand in a table or in a folder's name, and the classes that they make."""

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Names = tuple[str, ...]
SEPARATORS = re.compile(r"[;|,]")
WHOLE = re.compile(r"[+-]?\d+")


def labels_of(cell: object, where: str, *, multi_label: bool) -> Names:
    """Give the names in one cell; several stand in a list, or between ``;``, ``|`` or ``,``.

    Raises:
        ValueError: If there is none, or several where one is wanted, or a number that is not whole.
    """
    if isinstance(cell, list):
        if not multi_label:
            raise ValueError(f"{where} has a list of labels; add --multi-label")
        names = [name for entry in cell for name in labels_of(entry, where, multi_label=False)]
    elif isinstance(cell, float):
        raise ValueError(f"{where} has the label {cell}; {NEEDED}")
    else:
        text = "" if cell is None else str(cell)
        names = [word.strip() for word in (SEPARATORS.split(text) if multi_label else [text])]
    found = tuple(dict.fromkeys(name for name in names if name))
    if not found and not multi_label:
        raise ValueError(f"{where} has no label")
    return found


NEEDED = "labels must be class names or whole numbers; to regress numbers, write a file .npz"


def class_names(labels: Sequence[Names], where: Callable[[int], str]) -> Names:
    """Give the classes that occur, in the order of numbers where all are numbers, else of names.

    Raises:
        ValueError: If the labels are numbers and some are not whole, or one is written twice.
    """
    names = {name for row in labels for name in row}
    if not all(map(_is_number, names)):
        return tuple(sorted(names))
    for row, found in enumerate(labels):
        for name in found:
            if not WHOLE.fullmatch(name):
                raise ValueError(f"{where(row)} has the label {name}; {NEEDED}")
    if len({int(name) for name in names}) < len(names):
        alike = sorted(n for n in names if sum(int(n) == int(other) for other in names) > 1)
        raise ValueError(f"labels {', '.join(alike)} are one number; write them alike")
    return tuple(sorted(names, key=int))


def targets_of(labels: Sequence[Names], classes: Names, *, multi_label: bool) -> Tensor:
    """Turn names into class indices, or into rows of 0 and 1 with one column per class."""
    place = {name: number for number, name in enumerate(classes)}
    if not multi_label:
        return torch.tensor([place[name] for (name,) in labels], dtype=torch.long)
    targets = torch.zeros(len(labels), len(classes))
    for row, found in enumerate(labels):
        targets[row, [place[name] for name in found]] = 1.0
    return targets


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
