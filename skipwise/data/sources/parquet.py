"""Pictures in Parquet files: one column of encoded files, one of labels.

Of one's own making (columns ``image``, ``label`` and perhaps ``path``), or as the Hugging Face hub
stores them: ``image`` holds bytes and path, and the names of the classes stand in the metadata.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any, final, overload

from skipwise.data.pictures import (
    PARTS,
    Encoded,
    File,
    Gallery,
    Listing,
    class_names,
    labels_of,
    part_of,
)

IMAGES = ("image", "img", "picture")
SPLIT = "split"  # no other name: the columns of such files are often about something else
TARGETS = ("label", "labels", "class", "target", "fine_label")
PART = re.compile(rf"({'|'.join(PARTS)})(?![A-Za-z])", re.IGNORECASE)


@final
@dataclass(frozen=True, kw_only=True)
class Parquet(Gallery):
    """Pictures and labels in a Parquet file, or in a folder of them.

    ``path`` is the file, or a folder with ``train.parquet`` and perhaps ``val.parquet`` and
    ``test.parquet``, each in one file or in several (``train-00000-of-00002.parquet``), there or in
    ``data`` below; where there is no such file, a column ``split`` (``train``, ``val``, ``test``)
    parts the rows. Their order is kept. Classes are named by the metadata, else by the
    labels, else by the folders in ``path`` where each label has one of its own, else by numbers.

    Args: see :class:`skipwise.data.Gallery`.
    """

    def find(self) -> Listing:
        """Read the tables; pictures stay encoded.

        Raises:
            ValueError: If a table cannot be read, lacks a column or is larger than the memory.
        """
        shards = {part: [_Shard(p) for p in paths] for part, paths in _files(self.path).items()}
        if list(shards) == ["train"]:
            shards = _parted(shards["train"], self.path)
        tables = {id(s.table): s.table.nbytes for found in shards.values() for s in found}
        held = sum(tables.values())
        if held > self.memory_bytes:
            raise ValueError(
                f"{self.path} holds {held / 1e9:.1f} GB of encoded pictures, more than --memory;"
                " raise it, or write the pictures into a folder of class folders"
            )
        several = self.multi_label
        found = {
            part: [s.labels(multi_label=several) for s in some] for part, some in shards.items()
        }
        labels = {part: [row for rows in some for row in rows] for part, some in found.items()}
        first = shards["train"][0]
        classes = first.names or tuple(
            class_names([row for rows in labels.values() for row in rows], lambda row: self.path)
        )
        if not first.names and not several:
            pairs = {p for some in shards.values() for shard in some for p in shard.folders()}
            renamed = _one_to_one(pairs)
            classes = tuple(renamed.get(name, name) for name in classes)
            labels = {
                part: [(renamed.get(name, name),) for (name,) in rows]
                for part, rows in labels.items()
            }
        files = {part: Rows(some) for part, some in shards.items()}
        names = {p: tuple(n for s in some for n in s.called()) for p, some in shards.items()}
        return Listing(files=files, names=names, labels=labels, classes=classes)


class _Shard:
    """One file: its columns of pictures, labels and paths.

    Args:
        path: The file.
    """

    def __init__(self, path: Path):
        self.path = path
        read = _reader(path)
        self.image, self.label = (
            _column(read.schema_arrow.names, names, path, what)
            for names, what in ((IMAGES, "encoded pictures"), (TARGETS, "labels"))
        )
        there = read.schema_arrow.names
        self.has_paths = "path" in there
        self.has_splits = SPLIT in there
        others = [name for name in ("path", SPLIT) if name in there]
        columns = [self.image, self.label, *others]
        self.table: Any = _guarded(path, lambda: read.read(columns=columns))
        self.rows: Sequence[int] = range(self.table.num_rows)
        self.names = _names(self.table.schema.metadata, self.label)
        # Names may be numerals: then a number still means the name in its place.
        kind = str(self.table.schema.field(self.label).type)
        self.are_numbers = "int" in kind and "dictionary" not in kind
        kind = str(self.table.schema.field(self.image).type)
        if "binary" not in kind:
            raise ValueError(
                f"{path}: column {self.image!r} holds {kind}; it needs the bytes of encoded files"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, row: int) -> str:
        """Say where a row is."""
        return f"{self.path.name}, row {self.rows[row]} (from 0)"

    def parted(self) -> Mapping[str, "_Shard"]:
        """Give the rows of each part that the column of splits names; all are train without one."""
        if not self.has_splits:
            return {"train": self}
        rows: dict[str, list[int]] = {}
        for row, cell in enumerate(self.table[SPLIT].to_pylist()):
            rows.setdefault(part_of(cell, self.place(row)), []).append(row)
        found = {part: copy(self) for part in rows}
        for part, shard in found.items():
            shard.rows = rows[part]
        return found

    def file(self, row: int) -> File:
        """Give the picture of a row, still encoded."""
        value = self.table[self.image][self.rows[row]].as_py()
        if isinstance(value, Mapping):
            if value.get("bytes") is None and value.get("path"):
                return self.path.parent / str(value["path"])
            value = value.get("bytes")
        return Encoded(name=self.place(row), content=value or b"")

    def called(self) -> list[str]:
        """Name the rows: by the column of paths, else by the path beside the bytes or the place."""
        column, paths = self.table[self.image], []
        if self.has_paths:
            paths = self.table["path"].to_pylist()
        elif "path: " in str(column.type):
            paths = [p for chunk in column.chunks for p in chunk.field("path").to_pylist()]
        known = [paths[row] if paths else None for row in self.rows]
        return [str(path or self.place(row)) for row, path in enumerate(known)]

    def labels(self, *, multi_label: bool) -> list[tuple[str, ...]]:
        """Give the names in each row.

        Raises:
            ValueError: If a row has none, or a number that is no class.
        """
        cells = self.table[self.label].to_pylist()
        found = []
        for row in range(len(self)):
            labels = labels_of(cells[self.rows[row]], self.place(row), multi_label=multi_label)
            found.append(tuple(self._named(label, row) for label in labels))
        return found

    def _named(self, label: str, row: int) -> str:
        if not self.names or (label in self.names and not self.are_numbers):
            return label
        if not label.isdigit() or int(label) >= len(self.names):
            raise ValueError(
                f"{self.place(row)} has the label {label}, but there are {len(self.names)} classes,"
                f" so labels must lie in 0 … {len(self.names) - 1}"
            )
        return self.names[int(label)]

    def folders(self) -> set[tuple[str, str]]:
        """Give the pairs of label and folder that occur in the column of paths."""
        if not self.has_paths:
            return set()
        labels, paths = (self.table[name].to_pylist() for name in (self.label, "path"))
        return {
            (str(label), PurePosixPath(path or "").parent.name)
            for label, path in zip(labels, paths, strict=True)
        }


@final
class Rows(Sequence[File]):
    """The pictures of several tables, one after another, each taken out when it is read.

    Args:
        shards: The tables.
    """

    def __init__(self, shards: list[_Shard]):
        self.shards, self.ends = shards, list(accumulate(map(len, shards)))

    def __len__(self) -> int:
        return self.ends[-1]

    @overload
    def __getitem__(self, row: int) -> File: ...
    @overload
    def __getitem__(self, row: slice) -> list[File]: ...
    def __getitem__(self, row: int | slice) -> File | list[File]:
        if isinstance(row, slice):
            return [self[n] for n in range(*row.indices(len(self)))]
        number = bisect_right(self.ends, row)
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self.shards[number].file(row - (self.ends[number - 1] if number else 0))


def _files(word: str) -> dict[str, list[Path]]:
    path = Path(word)
    if not path.is_dir():
        return {"train": [path]}
    found = _by_part(_tables(path))
    if "train" not in found:
        raise ValueError(f"{path} has no train.parquet; name the file to train on")
    return found


def _by_part(files: list[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in files:
        named = PART.match(file.name)
        if named:
            found.setdefault(PARTS[named[1].lower()], []).append(file)
    return found


def _parted(shards: list[_Shard], path: str) -> dict[str, list[_Shard]]:
    found: dict[str, list[_Shard]] = {}
    for shard in shards:
        for part, rows in shard.parted().items():
            found.setdefault(part, []).append(rows)
    if "train" not in found:
        raise ValueError(f"{path} has no row of the train split")
    return found


def holds_tables(folder: Path) -> bool:
    """Say whether a folder is one of tables; a stray one beside class folders makes it none."""
    files = _tables(folder)
    folders = {path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
    return "train" in _by_part(files) or bool(files and not folders - {files[0].parent})


def _tables(folder: Path) -> list[Path]:
    """List the Parquet files of a folder, or of ``data`` below it."""
    for place in (folder, folder / "data"):
        inside = place.iterdir() if place.is_dir() else ()
        if found := sorted(path for path in inside if path.suffix.lower() == ".parquet"):
            return found
    return []


def _reader(path: Path) -> Any:
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise ValueError(
            f'{path} needs pyarrow to be read: .venv/bin/pip install -e ".[parquet]"'
        ) from None
    if not path.is_file():
        raise ValueError(f"{path} does not exist or is no file")
    return _guarded(path, lambda: parquet.ParquetFile(path))


def _guarded(path: Path, work: Any) -> Any:
    from pyarrow import ArrowException

    try:
        return work()
    except (ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} cannot be read as Parquet: {reason}") from None


def _column(there: list[str], names: tuple[str, ...], path: Path, what: str) -> str:
    found = next((name for name in names if name in there), None)
    if found is None:
        raise ValueError(
            f"{path} has the columns {', '.join(there)}; {what} are looked for in {names[0]!r}"
            f" ({', '.join(names[1:])} will do)"
        )
    return found


def _names(metadata: Mapping[bytes, bytes] | None, label: str) -> tuple[str, ...]:
    """Read the names of the classes that the Hugging Face hub's metadata give, if they do."""
    try:
        told = json.loads((metadata or {}).get(b"huggingface", b"{}"))
        feature = told["info"]["features"][label]
        return tuple(map(str, feature.get("names") or feature["feature"]["names"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def _one_to_one(pairs: set[tuple[str, str]]) -> dict[str, str]:
    """Give label → folder where each label has one folder and each folder one label."""
    labels, folders = ({pair[n] for pair in pairs} for n in range(2))
    named = len(pairs) == len(labels) == len(folders) and "" not in folders
    return dict(pairs) if named and all(label.isdigit() for label in labels) else {}
