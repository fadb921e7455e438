"""What a user hands over in Python, told apart before anything is read: arrays, or data sets.

``(x, y)`` is a pair of arrays. Parts stand in a mapping under the words that folders use too. Two
pairs that no batch could hold as examples, since their targets differ in shape, are a training and
a test part.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from skipwise.data.assembly import NAMES
from skipwise.data.pictures import PARTS
from skipwise.description import nearest

ORDER = ("train", "validation", "test")


def named_arrays(given: Any) -> dict[str, Any] | None:
    """Give arrays that are called as those of a file are; None of all else.

    Raises:
        ValueError: If one beside them is no array.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        return None
    found = {name: array for name, array in given.items() if array is not None}
    if found.keys() & NAMES:
        for name, array in found.items():
            if not _is_array(array) and not _is_list(array):
                raise ValueError(
                    f"{name!r} is of type {type(array).__name__} and no array; give arrays alone,"
                    ' {"x": …, "y": …}'
                )
        return found
    are_parts = any(name.lower() in PARTS for name in found)
    return found if found and not are_parts and all(map(_is_array, found.values())) else None


def by_part(given: Any) -> dict[str, Any]:
    """Give pairs of arrays, or data sets, under the names of their parts in their order.

    Raises:
        TypeError: If one is what a data set is made of, or made from one.
        ValueError: If a part is of a name that nobody knows, or stands twice.
    """
    if isinstance(given, Mapping) and _has_parts(given):
        found = _under_one_name(given)
        for part, some in found.items():
            _refuse_what_is_near(some, f"the {part} part: ")
        return found
    if _are_train_and_test(given):
        return dict(zip(("train", "test"), given, strict=True))
    _refuse_what_is_near(given, "")
    return {"train": given}


def are_pairs(parts: Mapping[str, Any]) -> bool:
    """Whether all parts are pairs of arrays; none is, if they are data sets.

    Raises:
        ValueError: If there are both.
    """
    kinds = {part: is_pair(some) for part, some in parts.items()}
    if len(set(kinds.values())) > 1:
        arrays = next(part for part, is_one in kinds.items() if is_one)
        other = next(part for part, is_one in kinds.items() if not is_one)
        raise ValueError(
            f"the {arrays} part is a pair of arrays and the {other} part of type"
            f" {type(parts[other]).__name__}, and only arrays are normalised; give all parts alike"
        )
    return all(kinds.values())


def is_pair(value: Any) -> bool:
    """Whether it is inputs and targets as arrays, or as lists that cannot be two examples."""
    if not _is_list(value) or len(value) != 2:
        return False
    inputs, targets = value
    if _is_array(inputs) and _is_array(targets):
        return np.ndim(targets) > 0
    in_rows = _is_array(inputs) or (_is_list(inputs) and bool(inputs) and not _is_one(inputs[0]))
    if _is_list(targets):
        return in_rows and bool(targets) and _is_one(targets[0])
    return in_rows and _is_array(targets) and np.ndim(targets) == 1


def as_numpy(array: Any, name: str) -> np.ndarray:
    """Bring a tensor, a list, or what numpy reads, to numpy; words that pandas holds too.

    Raises:
        ValueError: If numpy has no such type, or the rows of a list differ in length.
    """
    try:
        rows = [_plain(row) for row in array] if _is_list(array) else _plain(array)
        found = np.asarray(rows)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be read as an array: {error}") from None
    is_words = found.dtype == object and all(isinstance(value, str) for value in found.flat)
    if is_words:
        return found.astype(str)
    return found if found.flags.writeable else found.copy()  # torch takes what may be written to


def _plain(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__")


def _is_list(value: Any) -> bool:
    return isinstance(value, tuple | list)


def _is_one(value: Any) -> bool:
    """Whether it is a number or a word, and not a row of them."""
    return not _is_list(value) and np.ndim(value) == 0


def _has_parts(given: Mapping[Any, Any]) -> bool:
    """Whether it is parts, or meant so: numbered examples may stand in a mapping too."""
    return all(isinstance(name, str) for name in given)


def _under_one_name(given: Mapping[Any, Any]) -> dict[str, Any]:
    called: dict[str, str] = {}
    for name in (name for name, some in given.items() if some is not None):
        part = PARTS.get(str(name).lower())
        if part is None:
            raise ValueError(f"{name!r} is no part of data{nearest(str(name), ORDER, PARTS)}")
        if part in called:
            raise ValueError(
                f"the {part} part stands twice, as {called[part]} and {name}; leave one out"
            )
        called[part] = name
    if not called:
        raise ValueError(
            "a mapping of data sets has train, and perhaps validation and test, got none"
        )
    return {part: given[called[part]] for part in ORDER if part in called}


def _are_train_and_test(given: Any) -> bool:
    if not _is_list(given) or len(given) != 2 or not all(map(is_pair, given)):
        return False
    return np.shape(given[0][1]) != np.shape(given[1][1])


def _refuse_what_is_near(dataset: Any, where: str) -> None:
    """Say how an array, a loader or a folder becomes a data set.

    Raises:
        TypeError: If it is one of these.
    """
    if isinstance(dataset, Tensor | np.ndarray):
        raise TypeError(f"{where}inputs alone are no data set; give a pair, (x, y)")
    if isinstance(dataset, DataLoader):
        raise TypeError(
            f"{where}a DataLoader gives batches, and a data set is needed that gives examples; give"
            " loader.dataset, and batch_size= beside it"
        )
    if isinstance(dataset, str | Path):
        raise TypeError(
            f"{where}{str(dataset)!r} is a name, and what is needed here is a pair, (x, y), or a"
            " data set; of pictures give the folder that has train/ and test/ in it, as it is"
        )
