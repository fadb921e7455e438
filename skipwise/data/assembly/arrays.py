"""Arrays under their usual names, from a file or from the hand, to a data set."""

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np
import torch
from torch import Tensor

from skipwise.data.assembly.assemble import Part, assemble, numbered
from skipwise.data.assembly.split import Shares
from skipwise.data.dataset import Dataset, as_column

INPUTS, TARGETS = ("x", "inputs", "images", "data", "X"), ("y", "targets", "labels", "label")
PARTS = {
    "train": ("", "_train"),
    "validation": ("_val", "_validation", "_valid"),
    "test": ("_test",),
}
SUFFIXES = tuple(suffix for part in PARTS.values() for suffix in part)
NAMES = frozenset({"classes", *(name + end for name in (*INPUTS, *TARGETS) for end in SUFFIXES)})


def from_arrays(
    arrays: Mapping[str, np.ndarray],
    *,
    name: str,
    where: str,
    shares: Shares,
    known: tuple[str, ...] = (),
    flip: bool = True,
    learned: str = "train",
) -> Dataset:
    """Make a data set of arrays that are called as those of a file.

    Args:
        arrays: By name.
        name: What tables call the data.
        where: What messages call the arrays.
        shares: What is held out where parts are missing.
        known: As of :meth:`Arrays.load`.
        flip: Whether pictures are mirrored in training.
        learned: The part that stands for the training part.

    Raises:
        ValueError: If they hold no examples that can be trained on.
    """
    arrays = _numbered(arrays)
    read = {part: found for part in PARTS if (found := _part(arrays, part, where))}
    parts = {"train" if part == learned else part: found for part, found in read.items()}
    if "train" not in parts:
        raise ValueError(
            f"{where} has {', '.join(sorted(arrays)) or 'no arrays'}; it needs x and y"
        )
    notes = _unread(arrays, where)
    names = tuple(str(c) for c in arrays["classes"]) if "classes" in arrays else ()
    for what, number in (("inputs", 0), ("targets", 1)):
        if len({(pair[number].dtype, *pair[number].shape[1:]) for pair in parts.values()}) > 1:
            raise ValueError(f"{where}: {what} of its parts differ in type or shape")
    whole = torch.cat([targets for _, targets in parts.values()])
    if names and (whole.is_floating_point() or whole.dim() != 1):
        raise ValueError(
            f"{where} names classes, so y must be one whole number an example; leave"
            " classes out to regress numbers"
        )
    if not names and not whole.is_floating_point() and whole.dim() == 1:
        names = numbered(whole, where, known=len(known))
        if names and not known and int(whole.min()) == 1:
            raise ValueError(f"{where}: labels begin at 1, classes at 0; subtract 1 from y")
    known = known if names else ()
    return assemble(name, parts, shares, classes=names, known=known, flip=flip, notes=notes)


def _numbered(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give labels that are words by the places of their classes, which are named by them."""
    labels = {name + suffix for name in TARGETS for suffix in SUFFIXES}
    found = {name: array for name, array in arrays.items() if name in labels}
    are_words = bool(found) and all(array.dtype.kind in "US" for array in found.values())
    if "classes" in arrays or not are_words:
        return dict(arrays)
    for name, array in found.items():
        if array.dtype.kind == "S":
            found[name] = np.char.decode(array, "utf-8", "backslashreplace")
    classes = np.unique(np.concatenate([array.ravel() for array in found.values()]))
    places = {name: np.searchsorted(classes, array) for name, array in found.items()}
    return {**arrays, **places, "classes": classes}


def _unread(arrays: Mapping[str, np.ndarray], path: str) -> tuple[str, ...]:
    """Say which arrays are not read; one that is nearly called like one that is, is a mistake.

    Raises:
        ValueError: If a name looks mistyped, because then a part would be missing silently.
    """
    others = [name for name in arrays if name not in NAMES]
    for name in others:
        meant = [word for word in get_close_matches(name, NAMES, cutoff=0.8) if word not in arrays]
        if meant:
            raise ValueError(
                f"{path} has an array {name!r}, which is not read; did you mean {meant[0]!r}? Write"
                " it under that name, or leave it out"
            )
    return (f"arrays that are not read: {', '.join(others)}",) if others else ()


def _part(arrays: Mapping[str, np.ndarray], part: str, path: str) -> Part | None:
    def find(names: tuple[str, ...]) -> np.ndarray | None:
        return next((arrays[n + s] for n in names for s in PARTS[part] if n + s in arrays), None)

    inputs, targets = find(INPUTS), find(TARGETS)
    if (inputs is None) != (targets is None) and part != "train":
        there, missing = ("targets", "x") if inputs is None else ("inputs", "y")
        suffix = PARTS[part][0]
        raise ValueError(
            f"{path}: the {part} part has {there} only; add {missing}{suffix}, or leave it out"
        )
    if inputs is None or targets is None:
        return None
    if len(inputs) != len(targets):
        raise ValueError(
            f"{path}: the {part} part has {len(inputs)} inputs but {len(targets)} targets"
        )
    for what, array in (("input", inputs), ("target", targets)):
        if array.dtype.kind not in "biuf":
            raise ValueError(
                f"{path}: the {part} {what}s are of type {array.dtype};"
                f" {_wanted(what, array, arrays)}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            raise ValueError(
                f"{path}: {part} {what} {row} holds NaN or infinity; mend or remove it"
            )
    try:
        return read_as_inputs(inputs), _targets(targets, inputs)
    except ValueError as error:
        raise ValueError(f"{path}: {part} {error}") from None


def _wanted(what: str, array: np.ndarray, arrays: Mapping[str, np.ndarray]) -> str:
    if what == "input" or array.dtype.kind not in "US":
        return "numbers are needed"
    if "classes" in arrays:
        return "words name their classes themselves; leave classes out"
    return "give words in all parts, or numbers in all"


def read_as_inputs(array: np.ndarray) -> Tensor:
    """Give inputs with channels first, pictures of 8 bits as they are, all else as float32."""
    array = array if array.dtype == np.uint8 else array.astype(np.float32)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[-1] in (1, 3, 4) and array.shape[1] not in (1, 3, 4):
        array = array.transpose(0, 3, 1, 2)
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor if tensor.dim() != 2 or tensor.dtype != torch.uint8 else tensor.float()


def _targets(array: np.ndarray, inputs: np.ndarray) -> Tensor:
    is_class = array.shape[1:] in ((), (1,)) and inputs.shape[1:] != (1,)
    if array.shape == inputs.shape and array.ndim > 1 and not is_class:
        return read_as_inputs(array)
    kind = np.int64 if array.dtype.kind in "biu" else np.float32
    return as_column(torch.from_numpy(array.astype(kind)))
