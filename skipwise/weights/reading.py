"""Tensors by name from a file of anybody's: ``.safetensors``, ``.pth``, ``.npz``; no code is run.

A file of PyTorch is unpickled with ``weights_only``, which makes tensors and plain values and
nothing else. What programs wrap around the tensors is taken off: a dictionary that holds them under
``state_dict``, the prefixes of parallel and compiled modules.
"""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from skipwise.files import read_arrays
from skipwise.weights.file import BEST, read_tensors

CHECKPOINT = b"skipwise checkpoint"
TORCH = (".pth", ".pt", ".th", ".bin", ".ckpt", ".tar")
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net", "weights")
PREFIXES = ("module", "_orig_mod", "model", "network", "net", "backbone")


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and metadata of a file, or of a run's folder, whoever wrote it.

    Args:
        path: A file ``.safetensors``, ``.pth`` (``.pt``, ``.th``, ``.bin``, ``.ckpt``,
            ``.pth.tar``) or ``.npz``, or the folder of a run.

    Returns:
        Tensors without wrappers and prefixes, and the metadata of a file ``.safetensors``.

    Raises:
        ValueError: If there is no such file, it is damaged, or it holds anything but tensors.
    """
    path = path / BEST if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"{path} does not exist; weights are a file, or a run's folder")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty; it holds no weights")
    with path.open("rb") as file:
        if file.read(len(CHECKPOINT)) == CHECKPOINT:
            raise ValueError(f"{path} is the checkpoint of a run; give the run's folder")
    metadata: dict[str, str] = {}
    kind = path.suffix.lower()
    if kind == ".safetensors":
        found, metadata = read_tensors(path)
    elif kind == ".npz":
        found = _read_numpy(path)
    elif kind in TORCH:
        found = _unwrapped(_read_torch(path))
    else:
        raise ValueError(
            f"{path} is of a kind that weights are not read from;"
            " give a file .safetensors, .pth or .npz, or a run's folder"
        )
    if not found:
        raise ValueError(f"{path} holds no tensors by name; save the module's state_dict()")
    return _without_prefixes(found), metadata


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, UnpicklingError) as e:
        # torch's own words advise to unpickle with less care; ours must not.
        if "GLOBAL" in str(e) or "nsupported" in str(e):
            raise ValueError(
                f"{path} holds objects beside its tensors, and reading them could run code, so it"
                " is refused; ask for a file of the state_dict() alone, or a .safetensors"
            ) from None
    raise ValueError(f"{path} cannot be read as weights: it is no file of PyTorch, or damaged")


def _read_numpy(path: Path) -> dict[str, Tensor]:
    try:
        arrays = read_arrays(path)
    except ValueError:
        raise ValueError(
            f"{path} cannot be read as weights: it is no archive of plain arrays, or damaged"
        ) from None
    return {
        name: torch.from_numpy(array)
        for name, array in arrays.items()
        if array.dtype.kind in "biuf"
    }


def _unwrapped(found: Any) -> dict[str, Tensor]:
    """Go down to the dictionary of tensors; what else lies there, epochs or scores, is dropped."""
    while isinstance(found, Mapping):
        inner = next((found[w] for w in WRAPPERS if isinstance(found.get(w), Mapping)), None)
        if inner is None:
            break
        found = inner
    if not isinstance(found, Mapping):
        return {}
    return {str(name): value for name, value in found.items() if isinstance(value, Tensor)}


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off what parallel, compiled and wrapping modules put before every name."""
    while True:
        first = {name.partition(".")[0] for name in tensors if "." in name}
        common = next(iter(first)) if len(first) == 1 else ""
        if common not in PREFIXES or not all("." in name for name in tensors):
            return tensors
        tensors = {name.partition(".")[2]: value for name, value in tensors.items()}
