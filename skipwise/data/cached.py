"""Data sets that torchvision keeps below ``~/.cache/skipwise``, downloaded if they are absent."""

import contextlib
import sys
from collections.abc import Callable
from pickle import UnpicklingError
from typing import TypeVar

from skipwise.data.dataset import CACHE
from skipwise.files import in_turn

T = TypeVar("T")


def cached(stored: Callable[..., T], name: str, *, otherwise: str) -> dict[str, T]:
    """Give the two parts of a data set of torchvision.

    Processes that ask for it at once take turns: the first one downloads and unpacks it, the others
    find it there.

    Args:
        stored: torchvision's class.
        name: What a user calls it.
        otherwise: What a user can do where it cannot be downloaded.

    Returns:
        ``train`` and ``test``.

    Raises:
        ValueError: If it is not there and cannot be downloaded, or is damaged.
    """
    root = CACHE.expanduser()
    try:
        with in_turn(root), contextlib.redirect_stdout(sys.stderr):
            return {
                part: stored(str(root), train=part == "train", download=True)
                for part in ("train", "test")
            }
    except (RuntimeError, OSError, EOFError, UnpicklingError, AssertionError, ValueError) as error:
        why = str(error) or type(error).__name__
        raise ValueError(
            f"{name} can neither be read from {root} nor be downloaded ({why}); remove what is"
            f" damaged there, or {otherwise}"
        ) from None
