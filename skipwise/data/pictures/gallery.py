"""What every source of picture files shares: one size, one memory, one way into a data set."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median_low
from typing import TypeVar

import torch
from torch import Tensor

from skipwise.data.assembly import Shares, assemble, in_short
from skipwise.data.dataset import Data, Dataset, InMemory, Stored
from skipwise.data.pictures.labels import SEPARATORS, Names, targets_of
from skipwise.data.pictures.picture import (
    File,
    Head,
    UnreadablePicture,
    deepest,
    header,
    read_picture,
)
from skipwise.data.pictures.streamed import SAMPLE, SKIP_BAD, Read, Streamed

LARGEST, MOST = 224, 4096  # a side of pictures: by itself, when asked for
FAINT, LOOKED_AT = 8192, 64  # pictures of 16 bits: below this they are nearly black
UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3), ("bytes", 1))
MEMORY_BYTES = 4 * 10**9
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Pictures that were found, none of them read.

    Args:
        files: By part.
        names: What each is called, likewise: relative paths, where it has one.
        labels: The names of each file's classes, by part.
        classes: All names, in the order of the class indices.
        empty: What is wrong with a class that has no picture, in a sentence; nothing if each has.
        notes: What a reader should know.
    """

    files: Mapping[str, Sequence[File]]
    names: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, Sequence[Names]]
    classes: Names
    empty: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Gallery(Data):
    """Picture files with labels.

    Args:
        path: Where they are.
        size: Height and width that pictures are brought to; empty takes that of at least half of
            them, else the median of their shorter sides, at most 224.
        channels: 1 for grey, 3 for colour; 0 is grey where all pictures are.
        shares: What is held out where parts are missing.
        flip: Whether the mirror image is as good an example.
        skip_bad: Leave out files that cannot be read, and say which; else stop at the first.
        multi_label: Whether a picture has any number of labels rather than one class.
        memory_bytes: A set that is larger when decoded is decoded as it is used.
    """

    path: str
    size: tuple[int, ...] = ()
    channels: int = 0
    shares: Shares = field(default_factory=Shares)
    flip: bool = True
    skip_bad: bool = False
    multi_label: bool = False
    memory_bytes: int = MEMORY_BYTES

    def __post_init__(self):
        if len(self.size) not in (0, 2) or any(side < 1 for side in self.size):
            raise ValueError(f"size must be [height, width] in pixels, got {list(self.size)}")
        if max(self.size, default=0) > MOST:
            raise ValueError(f"size must be at most {MOST} pixels a side, got {list(self.size)}")
        if self.channels not in (0, 1, 3):
            raise ValueError(f"channels must be 1 or 3, or 0 to choose, got {self.channels}")
        if self.memory_bytes < 0:
            raise ValueError(f"memory_bytes must not be negative, got {self.memory_bytes}")

    @property
    def name(self) -> str:
        """The name of the folder or file."""
        return Path(self.path).resolve().stem

    @abstractmethod
    def find(self) -> Listing:
        """List the files and their labels.

        Raises:
            ValueError: If there are none, or they cannot be trained on.
        """

    def load(self, known: Names = ()) -> Dataset:
        """Find the files, look at their headers, decode them to one size or prepare to.

        Args:
            known: The names of the classes in the order that is wanted, if the data may lack some.

        Raises:
            ValueError: If they cannot be read or trained on.
        """
        listing = self.find()
        if listing.empty and not known:
            raise ValueError(listing.empty)
        bad: list[str] | None = [] if self.skip_bad else None
        heads = {part: _each(header, files, bad) for part, files in listing.files.items()}
        readable = [head for part in heads.values() for head in part if head is not None]
        if not readable:
            raise ValueError(f"{self.path} holds no picture that can be read")
        size, channels, notes = _choose(readable, self.size, self.channels)
        shape = (channels, *size)
        read = partial(read_picture, channels=channels, size=size)
        needed = len(readable) * channels * size[0] * size[1]
        bring = _streamed if needed > self.memory_bytes else _decoded
        parts: dict[str, Stored] = {}
        for part, files in listing.files.items():
            rows = torch.tensor([n for n, head in enumerate(heads[part]) if head], dtype=torch.long)
            targets = targets_of(
                listing.labels[part], listing.classes, multi_label=self.multi_label
            )
            names = listing.names[part]
            parts[part] = bring(files, names, targets, rows, shape, read, bad)
        return assemble(
            self.name,
            parts,
            self.shares,
            classes=listing.classes,
            known=known,
            multi_label=self.multi_label,
            flip=self.flip,
            notes=(
                *listing.notes,
                *notes,
                *_skipped(bad or []),
                *_faint(listing.files["train"], heads["train"]),
                *(() if self.multi_label else _joined(listing.classes)),
                *(_as_it_goes(len(readable), needed) if bring is _streamed else ()),
            ),
        )


def _streamed(
    files: Sequence[File],
    names: tuple[str, ...],
    targets: Tensor,
    rows: Tensor,
    shape: tuple[int, ...],
    read: Read,
    bad: list[str] | None,
) -> Stored:
    if bad is not None:  # a header does not tell that a file is cut short
        whole = _each(lambda row: read(files[row]).numel(), rows.tolist(), bad)
        rows = rows[torch.tensor([size is not None for size in whole], dtype=torch.bool)]
    return Streamed(files, targets[rows], rows, shape=shape, read=read, names=names)


def _decoded(
    files: Sequence[File],
    names: tuple[str, ...],
    targets: Tensor,
    rows: Tensor,
    shape: tuple[int, ...],
    read: Read,
    bad: list[str] | None,
) -> Stored:
    pictures = torch.empty((len(rows), *shape), dtype=torch.uint8)

    def fill(place: int) -> bool:
        pictures[place] = read(files[int(rows[place])])
        return True

    done = _each(fill, range(len(rows)), bad)
    named = tuple(names[row] for row, whole in zip(rows.tolist(), done, strict=True) if whole)
    if all(done):
        return InMemory(pictures, targets[rows], names=named)
    good = torch.tensor([result is not None for result in done])
    return InMemory(pictures[good], targets[rows[good]], names=named)


def _skipped(bad: Sequence[str]) -> tuple[str, ...]:
    words = "file that cannot be read was" if len(bad) == 1 else "files that cannot be read were"
    return (f"{len(bad)} {words} skipped: {in_short(bad)}",) if bad else ()


def _faint(files: Sequence[File], heads: Sequence[Head | None]) -> tuple[str, ...]:
    """Say so where pictures of 16 bits use few of their values: few grey levels are left then."""
    grey = [row for row, head in enumerate(heads) if head is not None and head[1]]
    some = grey[:: -(-len(grey) // LOOKED_AT) or 1]
    found = [value for value in _each(lambda row: deepest(files[row]), some, []) if value]
    largest = max(found, default=0)
    if not 0 < largest < FAINT:
        return ()
    return (
        f"pictures of 16 bits hold values up to {largest:,} of 65,535 ({len(found)} looked at), so"
        f" {round(largest / 257) + 1} of 256 grey levels are left of them; rescale the files to the"
        " full range",
    )


def _joined(classes: Names) -> tuple[str, ...]:
    """Say so where names of classes look like several labels in one cell."""
    parts = {name: [word.strip() for word in SEPARATORS.split(name)] for name in classes}
    joined = [n for n, words in parts.items() if len(words) > 1 and set(words) <= set(classes)]
    if not joined:
        return ()
    text = (
        f"{joined[0]!r} is taken for one class; where a picture has several labels: --multi-label"
    )
    return (text,)


def _as_it_goes(count: int, needed: int) -> tuple[str, ...]:
    sample = f"{SAMPLE:,} of the training pictures" if count > SAMPLE else "all training pictures"
    return (
        f"{count:,} pictures need {in_words(needed)}, more than --memory: they are decoded as"
        f" they are used; mean and standard deviation are those of {sample}",
    )


def in_words(size: int) -> str:
    """Write a number of bytes.

    >>> in_words(1_500_000_000), in_words(30_000)
    ('1.5 GB', '30.0 kB')
    """
    unit, factor = next((u, f) for u, f in UNITS if size >= f or f == 1)
    return f"{size / factor:.1f} {unit}"


def _choose(
    headers: Sequence[Head], wanted: tuple[int, ...], channels: int
) -> tuple[tuple[int, ...], int, tuple[str, ...]]:
    sizes = Counter(size for size, _ in headers)
    size, why = (wanted, "") if wanted else _usual(sizes)
    channels = channels or (1 if all(grey for _, grey in headers) else 3)
    if set(sizes) == {size}:
        return size, channels, ()
    text = (
        f"pictures of {len(sizes)} size{'s' if len(sizes) > 1 else ''} are resized and cropped"
        f" in the middle to {size[0]}×{size[1]} pixels{why}"
    )
    return size, channels, (text,)


def _usual(sizes: Counter[tuple[int, int]]) -> tuple[tuple[int, int], str]:
    """Choose the size of at least half of the pictures, else a square of the median shorter side.

    Returns:
        Height and width, and how they came about.
    """
    common, count = sizes.most_common(1)[0]
    if 2 * count >= sizes.total():
        size, why = common, ", the commonest size" if len(sizes) > 1 else ""
    else:
        side = median_low(min(size) for size in sizes.elements())
        unit = 32 if side >= 64 else 8
        side = max(unit * round(side / unit), unit)
        size, why = (side, side), ", by the median of their shorter sides"
    if max(size) > LARGEST:
        size, why = (LARGEST, LARGEST), ", the largest that is taken unasked"
    return size, f"{why}; --size chooses"


def _each(work: Callable[..., T], items: Iterable, bad: list[str] | None) -> list[T | None]:
    """Work on all items in threads; None stands for a picture that is to be skipped.

    Args:
        work: What to do with an item.
        items: They.
        bad: Takes the names of files that cannot be read; if None the first ends it.

    Raises:
        UnreadablePicture: At the first that cannot be read, unless bad ones are listed.
    """

    def attempt(item: object) -> T | UnreadablePicture:
        try:
            return work(item)
        except UnreadablePicture as error:
            return error

    found: list[T | None] = []
    with ThreadPoolExecutor(max(torch.get_num_threads(), 1)) as pool:
        left = iter(items)
        while some := list(islice(left, 4096)):  # the pool takes in all that it is given at once
            for result in pool.map(attempt, some):
                if not isinstance(result, UnreadablePicture):
                    found.append(result)
                elif bad is not None:
                    found.append(None)
                    bad.append(result.file)
                else:
                    raise UnreadablePicture(f"{result}; mend or remove it, or {SKIP_BAD}")
    return found
