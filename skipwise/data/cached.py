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
        ValueError: If it is not there and cannot be downloaded, or its files are damaged.
    """
    root = CACHE.expanduser()
    try:
        with in_turn(root), contextlib.redirect_stdout(sys.stderr):
            return {
                part: stored(str(root), train=part == "train", download=True)
                for part in ("train", "test")
            }
    except (RuntimeError, OSError) as error:
        raise ValueError(
            f"{name} is not in {root} and cannot be downloaded ({error}); {otherwise}"
        ) from None
    except (EOFError, UnpicklingError, AssertionError, ValueError) as error:
        raise ValueError(
            f"the files of {name} in {root} are damaged ({type(error).__name__}: {error}); remove"
            " them, and they are downloaded anew"
        ) from None
