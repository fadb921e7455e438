"""Pictures that a table lists: a file .csv or .tsv with one path and its label a row."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from skipwise.data.pictures import (
    SUFFIXES,
    Gallery,
    Listing,
    class_names,
    labels_of,
    part_of,
)
from skipwise.description import nearest

PATHS = ("path", "file", "filename", "file_name", "image", "filepath")
TARGETS = ("label", "labels", "class", "target", "targets")
SPLITS = ("split", "part", "subset")
NUMBERS = "; a table lists pictures, numbers are read from a file .npz with x and y"


@dataclass(frozen=True, kw_only=True)
class _Row:
    place: str
    cells: tuple[str, ...]


@final
@dataclass(frozen=True, kw_only=True)
class Table(Gallery):
    """Pictures and labels listed in a file .csv (commas, or semicolons) or .tsv (tabulators).

    The first row names the columns: ``path`` (or ``file``, ``filename``, ``image``), ``label`` (or
    ``class``, ``target``), and perhaps ``split`` (``train``, ``val``, ``test``); a table of two
    columns may go without. Paths are relative to the folder of the table. Labels are names, or
    whole numbers; with ``multi_label`` several stand between ``;``, ``|`` or ``,``, or none.

    Args: see :class:`skipwise.data.Gallery`, and
        path_column: The column of paths, where it has another name.
        label_column: That of labels.
        split_column: That of splits.
    """

    path_column: str = ""
    label_column: str = ""
    split_column: str = ""

    def find(self) -> Listing:
        """Read the table.

        Raises:
            ValueError: If it cannot be read, or a column, a cell or a file is missing; the row is
                named.
        """
        table = Path(self.path)
        named = {"path": self.path_column, "label": self.label_column, "split": self.split_column}
        rows, places = _columns(list(_rows(table)), table, named)
        width = len(next(_rows(table)).cells)
        every: list[tuple[str, ...]] = []
        seen: dict[Path, str] = {}
        files: dict[str, list[Path]] = {}
        names: dict[str, list[str]] = {}
        labels: dict[str, list[tuple[str, ...]]] = {}
        for row in rows:
            if len(row.cells) > width:
                raise ValueError(
                    f"{row.place} has {len(row.cells)} cells, the first row {width}; put a cell"
                    " that holds a comma or semicolon between quotes"
                )
            cells = row.cells + ("",) * (max(places.values()) + 1 - len(row.cells))
            word, cell = cells[places["path"]], cells[places["label"]]
            part = part_of(cells[places["split"]], row.place) if "split" in places else "train"
            file = table.parent / word
            if not word:
                raise ValueError(f"{row.place} has no path")
            if not self.skip_bad and not file.is_file():
                raise ValueError(
                    f"{row.place}: {word} is no file; paths are relative to the table's folder"
                )
            if (first := seen.setdefault(file, row.place)) != row.place:
                raise ValueError(
                    f"{row.place}: {word} stands in {first} already; name each picture once,"
                    " several labels in one cell (a;b, with --multi-label)"
                )
            found = labels_of(cell, row.place, multi_label=self.multi_label)
            every.append(found)
            files.setdefault(part, []).append(file)
            names.setdefault(part, []).append(word)
            labels.setdefault(part, []).append(found)
        if "train" not in files:
            raise ValueError(f"{table} has no row of the train split")
        classes = class_names(every, lambda row: rows[row].place)
        called = {part: tuple(words) for part, words in names.items()}
        return Listing(files=files, names=called, labels=labels, classes=classes)


def _rows(table: Path) -> Iterator[_Row]:
    if not table.is_file():
        raise ValueError(f"{table} does not exist or is no file")
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=_delimiter(first, table), strict=True)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    place = f"{table}, line {reader.line_num}"
                    yield _Row(place=place, cells=tuple(cell.strip() for cell in cells))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table} cannot be read as a table: {error}") from None


def _delimiter(first: str, table: Path) -> str:
    if ";" in first and "," not in first and "\t" not in first:  # as where commas are in numbers
        return ";"
    return "\t" if table.suffix.lower() == ".tsv" else ","


def _columns(
    rows: list[_Row], table: Path, named: Mapping[str, str]
) -> tuple[list[_Row], dict[str, int]]:
    """Tell the rows from their header, and the columns by their names or those that were given.

    Raises:
        ValueError: If there is no row, or a column is missing.
    """
    if not rows:
        raise ValueError(f"{table} is empty")
    first = [cell.lower() for cell in rows[0].cells]
    usual = {"path": PATHS, "label": TARGETS, "split": SPLITS}
    wanted = {w: (named[w].lower(),) if named[w] else names for w, names in usual.items()}
    for what in usual:
        if named[what] and named[what].lower() not in first:
            raise ValueError(
                f"{table} has no column {named[what]!r}, which {what}_column names"
                f"{nearest(named[what], rows[0].cells)}"
            )
    found = {
        what: next(first.index(name) for name in names if name in first)
        for what, names in wanted.items()
        if set(names) & set(first)
    }
    if not found and len(first) == 2 and Path(first[0]).suffix.lower() in SUFFIXES:
        return rows, {"path": 0, "label": 1}
    for what in ("path", "label"):
        if what not in found:
            raise ValueError(
                f"{table} has the columns {', '.join(rows[0].cells)}; it lacks {what!r}"
                f" ({', '.join(usual[what][1:])} will do);"
                f" --set data.{what}_column=… names another{NUMBERS if what == 'path' else ''}"
            )
    if not rows[1:]:
        raise ValueError(f"{table} has a header and no row below it")
    return rows[1:], found
