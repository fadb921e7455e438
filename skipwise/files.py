"""Writing a file so that it is there whole or not at all."""

import os
from pathlib import Path


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside the file, bring it to the disk, and put it in place in one move.

    A crash or a full disk leaves the old file as it was.

    Raises:
        OSError: If it cannot be written; nothing half-written is left.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
