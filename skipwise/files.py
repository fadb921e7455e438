"""Files: writing one so that it is there whole or not at all, and reading plain arrays."""

import errno
import glob
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)  # what a disk says that takes no more
LEFT_SECONDS = 3600.0  # after which a draft is one of a writer that was killed


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside the file, bring it to the disk, and put it in place in one move.

    A crash or a full disk leaves the old file as it was. Of several that write it at once the last
    one counts.

    Raises:
        OSError: If it cannot be written; nothing half-written is left.
    """
    # Not the process's id: two machines that share a disk may have the same.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # it is written; another may have removed them meanwhile
        for left in drafts_of(path):
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                left.unlink()


def drafts_of(path: Path) -> list[Path]:
    """Give the drafts of a file that lie beside it, of writers at work and of killed ones."""
    return [*path.parent.glob(f".{glob.escape(path.name)}.*.draft")]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a file .npz; nothing in it is unpickled.

    Raises:
        ValueError: If it cannot be read, with the reason.
    """
    try:
        # Opened here: numpy leaves a broken archive open, and gives an array for a renamed .npy.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, BadZipFile, EOFError, TypeError, AttributeError) as error:
        # numpy's own words on objects advise to unpickle them; ours must not.
        plain = isinstance(error, OSError | BadZipFile | EOFError) and "pickle" not in str(error)
        raise ValueError(str(error) if plain else "it is no archive of plain arrays") from None
