"""Checkpoints: a file that is whole or refused, and the one before it.

A file is a line of magic, the SHA-256 of what follows, and what ``torch.save`` gave; reading it
unpickles nothing but tensors and plain values.
"""

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import torch

from skipwise.files import write_atomic

MAGIC = b"skipwise checkpoint 1\n"
LAST, DRAFT, BEFORE = "last.ckpt", ".next.ckpt", "before.ckpt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write ``last.ckpt``; the one that was there becomes ``before.ckpt``.

    Raises:
        OSError: If the disk is full or read-only; both files are then what they were.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    last, draft = folder / LAST, folder / DRAFT
    write_atomic(draft, MAGIC + hashlib.sha256(payload).digest() + payload)
    if last.exists():
        last.replace(folder / BEFORE)
    draft.replace(last)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint.

    Raises:
        ValueError: If it is no checkpoint of ours, or not whole.
    """
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise ValueError(f"{path} is not a Skipwise checkpoint")
    digest, payload = content[len(MAGIC) : len(MAGIC) + 32], content[len(MAGIC) + 32 :]
    if hashlib.sha256(payload).digest() != digest:
        raise ValueError(f"{path} is cut short or damaged")
    try:
        return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None


def newest_checkpoint(folder: Path) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Read the last good checkpoint of a run, and say which were refused.

    Returns:
        The state, or None where nothing was saved yet, and a sentence for each refused file.

    Raises:
        ValueError: If there are checkpoints and none is good.
    """
    refused = []
    for name in (LAST, DRAFT, BEFORE):
        if (folder / name).is_file():
            try:
                return load_checkpoint(folder / name), tuple(refused)
            except ValueError as error:
                refused.append(str(error))
    if refused:
        raise ValueError(f"no checkpoint to go on from: {'; '.join(refused)}; train it anew")
    return None, ()
