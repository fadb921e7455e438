"""Files: one is whole or not there; a folder is one process's, or each's in turn; plain arrays.

What a run and a study call theirs stands here, for those who write them and those who read them.
"""

import errno
import glob
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, TextIO, final
from weakref import WeakValueDictionary
from zipfile import BadZipFile

import numpy as np

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)  # a disk takes no more
LOCK = ".lock"
PAGES, HTML = ("page", "picture", "report"), (".html", ".htm")
KEPT = (".ckpt", ".safetensors", ".pth", ".pt2", ".onnx", ".npz", ".yaml", ".json", ".jsonl", ".py")
HOLD_SECONDS = 10.0  # workers of a process that was killed hold its files a little longer
LEFT_SECONDS = 3600.0  # after which a draft is one of a writer that was killed

EXPERIMENT, LOG = "experiment.yaml", "log.txt"
METRICS, METRICS_TABLE = "metrics.jsonl", "metrics.csv"
EVIDENCE, REPORT = "evidence.json", "report.html"
DIAGNOSIS, DIAGNOSIS_PAGE = "diagnosis.json", "diagnosis.html"
STUDY, STUDY_PAGE = "study.yaml", "study.html"


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside the file, bring it to the disk, and put it in place in one move.

    A crash or a full disk leaves the old file as it was. Of several that write it at once the last
    one counts.

    Raises:
        OSError: If it cannot be written, which names the file; nothing half-written is left.
    """
    # Not the process's id: two machines that share a disk may have the same.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        error.filename = str(path)  # Python names the draft, and of a full disk nothing
        raise
    with suppress(OSError):  # it is written; another may have removed them meanwhile
        for left in drafts_of(path):
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                left.unlink()


def drafts_of(path: Path) -> list[Path]:
    """Give the drafts of a file that lie beside it, of writers at work and of killed ones."""
    return [*path.parent.glob(f".{glob.escape(path.name)}.*.draft")]


@contextmanager
def naming(place: Path) -> Iterator[None]:
    """Name a place in the error of a full disk, of which Python names none.

    Raises:
        OSError: That of inside.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in FULL:
            error.filename = str(place)
        raise


def is_of_the_disk(error: OSError, folder: Path) -> bool:
    """Whether a folder cannot be written, and not only a file of somebody's data is wrong."""
    named = isinstance(error.filename, str | Path)
    inside = named and Path(error.filename).absolute().is_relative_to(folder.absolute())
    return inside or error.errno in FULL


@final
class Hold:
    """A folder in which no other process trains until this is closed.

    A process that holds a folder already lets that go: its caller left the session.

    Args:
        folder: Made if it is not there; None holds nothing.
        seconds: How long to wait for another process; ten if None.

    Attributes:
        is_lost: Whether another session of this process has taken the folder over.

    Raises:
        ValueError: If another holds it for longer.
    """

    _by_this_process: ClassVar[WeakValueDictionary[Path, "Hold"]] = WeakValueDictionary()

    def __init__(self, folder: Path | None, *, seconds: float | None = None):
        self._file: TextIO | None = None
        self.is_lost = False
        if folder is None or find_spec("fcntl") is None:  # Windows, where nothing is held
            return

        folder.mkdir(parents=True, exist_ok=True)
        if (earlier := self._by_this_process.get(folder.absolute())) is not None:
            earlier.is_lost = True
            earlier.close()
        self._path, began = folder / LOCK, time.perf_counter()
        patience = HOLD_SECONDS if seconds is None else seconds
        while not self._taken():
            if time.perf_counter() - began > patience:
                raise ValueError(
                    f"another process trains in {folder}; stop it, or wait until it ends"
                )
            time.sleep(0.05)
        self._by_this_process[folder.absolute()] = self

    def _taken(self) -> bool:
        """Try to lock the file, and see that it is still the one of that name."""
        import fcntl

        file = self._path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except (BlockingIOError, FileNotFoundError):
            same = False
        except OSError:  # a file system without locks
            same = True
        if same:
            self._file = file
        else:
            file.close()
        return same

    def __del__(self):
        self.close()

    def close(self) -> None:
        """Let the folder go, also for copies of the lock in forked workers."""
        if self._file is None:
            return
        import fcntl

        with suppress(OSError):
            self._path.unlink(missing_ok=True)
            fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()
        self._file = None


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Let one process after the other do what happens inside.

    Where nothing can be locked (on Windows, or in a folder that may not be written) none waits.
    """
    with ExitStack() as held:
        if find_spec("fcntl") is not None:
            import fcntl

            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                file = held.enter_context((folder / LOCK).open("w"))
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


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


def check_place(path: Path | None, what: str, *, whole: bool = True) -> None:
    """Ask before the work that a file can be written to its folder.

    Args:
        path: The file, or None.
        what: What it is to be, in a word. A page or picture ends on .html, and a table not as what
            is kept otherwise.
        whole: Whether a new file takes the place of an old one, as :func:`write_atomic` does it;
            else the old one is written over.

    Raises:
        ValueError: If there is no such folder, the file is one or of another kind, or it may not be
            written.
    """
    if path is None:
        return
    if not path.is_dir():
        check_ending(path, what)
    if path.is_dir():
        why = f"{path} is a folder"
    elif path.exists() and not whole:
        why = "" if os.access(path, os.W_OK) else f"{path} is not writable"
    else:
        why = _refusal(path.parent)
    if why:
        raise ValueError(f"{why}, so the {what} could not be written to {path}; name another file")


def check_ending(path: Path, what: str) -> None:
    """Refuse a page that does not end on .html, and a table in the place of what is kept.

    Raises:
        ValueError: If it is one.
    """
    ending, is_page, is_table = path.suffix.lower(), what in PAGES, what == "table"
    is_own = path.name in (LOG, METRICS_TABLE) and path.with_name(EXPERIMENT).exists()
    if is_table and is_own:
        raise ValueError(f"{path} is the run's own; name another file for the table")
    if (is_page and ending not in HTML) or (is_table and ending in (*HTML, *KEPT)):
        usual = HTML[0] if is_page else ".csv"
        raise ValueError(
            f"{path} is no name for a {what}, which is a file {usual}; name another file"
        )


def check_folder(path: Path | None, what: str) -> None:
    """Ask before the work that files can be written to a folder, which need not be there yet.

    Raises:
        ValueError: If it is a file, lies below one, or may not be written.
    """
    if path is None:
        return
    why = _refusal(next(at for at in (path, *path.parents) if os.path.exists(at)))
    if why:
        raise ValueError(
            f"{why}, so the {what} could not be written to {path}; name another folder"
        )


def _refusal(folder: Path) -> str:
    """Say why a folder takes no file, if so; tried, as root has the right to where nothing can be.

    An example of such a place is ``/proc``.
    """
    if not folder.is_dir():
        return f"{folder} is no folder"
    try:
        with TemporaryDirectory(dir=folder):
            return ""
    except OSError as error:
        return f"{folder} is not writable ({error.strerror})"


def free_folder(above: Path, stem: str) -> Path:
    """Make the next free folder below ``above``: the stem and a number.

    Of several processes that ask at once each gets its own.
    """
    number = 1
    while True:
        folder = above / f"{stem}-{number}"
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
        number += 1
