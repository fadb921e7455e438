"""A folder of class folders, with or without train, validation and test above them."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from skipwise.data.assemble import Shares, assemble
from skipwise.data.dataset import Data, Dataset
from skipwise.data.pictures import SUFFIXES, UnreadablePicture, header, read_picture

PARTS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
LARGEST = 224
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Folder(Data):
    """Pictures in folders named by their class, held in memory at one size.

    Args:
        path: The folder; below it class folders, or ``train``, ``val`` and ``test`` with class
            folders below.
        size: Side of the square that pictures are brought to; 0 keeps the commonest size, at most
            224.
        shares: What is held out where parts are missing.
        flip: Whether the mirror image is as good an example.
        skip_bad: Leave out files that cannot be read, and say how many; else stop at the first.
    """

    path: str
    size: int = 0
    shares: Shares = field(default_factory=Shares)
    flip: bool = True
    skip_bad: bool = False

    def __post_init__(self):
        if self.size < 0:
            raise ValueError(
                f"size must be a number of pixels, or 0 for the commonest, got {self.size}"
            )

    @property
    def name(self) -> str:
        """The folder's name."""
        return Path(self.path).resolve().name

    def load(self) -> Dataset:
        """Find the files, look at their headers, decode them to one size.

        Raises:
            ValueError: If there is no such folder, or it cannot be trained on.
        """
        root = Path(self.path)
        if not root.is_dir():
            raise ValueError(f"{root} does not exist or is no folder")
        files, classes = _find(root)
        paths = [path for part in files.values() for path, _ in part]
        headers, bad = _each(header, paths, self.skip_bad)
        if not headers:
            raise ValueError(f"{root} holds no picture that can be read")
        size, channels, notes = _choose(headers, self.size)
        parts, decoding = {}, Counter[str]()
        for part, listed in files.items():
            good = [(path, label) for path, label in listed if str(path) not in bad]
            pictures, broken = _each(
                lambda path: read_picture(path, channels=channels, size=size),
                [p for p, _ in good],
                self.skip_bad,
            )
            decoding.update(broken)
            labels = [label for path, label in good if str(path) not in broken]
            empty = torch.empty((0, channels, *size), dtype=torch.uint8)
            parts[part] = (
                torch.stack(pictures) if pictures else empty,
                torch.tensor(labels, dtype=torch.long),
            )
        skipped = len(bad) + len(decoding)
        notes += (f"{skipped} files that cannot be read were skipped",) if skipped else ()
        return assemble(self.name, parts, self.shares, classes=classes, flip=self.flip, notes=notes)


def _find(root: Path) -> tuple[dict[str, list[tuple[Path, int]]], tuple[str, ...]]:
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    named = {PARTS[p.name.lower()]: p for p in folders if p.name.lower() in PARTS}
    if "train" not in named:
        named = {"train": root}
    classes = sorted(
        p.name for p in named["train"].iterdir() if p.is_dir() and not p.name.startswith(".")
    )
    if not classes:
        raise ValueError(
            f"{named['train']} has no class folders; pictures belong into one folder per class"
        )
    files: dict[str, list[tuple[Path, int]]] = {}
    for part, folder in named.items():
        others = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name not in classes)
        if others and part != "train":
            raise ValueError(
                f"{folder / others[0]} is a class that the training part does not have"
            )
        files[part] = [(p, n) for n, name in enumerate(classes) for p in _pictures(folder / name)]
    counts = Counter(label for _, label in files["train"])
    for number, name in enumerate(classes):
        if not counts[number]:
            raise ValueError(
                f"{named['train'] / name} holds no picture; fill the class or remove its folder"
            )
    return files, tuple(classes)


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
    )


def _choose(
    headers: Sequence[tuple[tuple[int, int], bool]], side: int
) -> tuple[tuple[int, int], int, tuple[str, ...]]:
    sizes = Counter(size for size, _ in headers)
    size = (side, side) if side else sizes.most_common(1)[0][0]
    if max(size) > LARGEST and not side:
        size = (LARGEST, LARGEST)
    channels = 1 if all(grey for _, grey in headers) else 3
    if set(sizes) == {size}:
        return size, channels, ()
    text = (
        f"pictures of {len(sizes)} sizes are resized and cropped in the middle"
        f" to {size[0]}×{size[1]} pixels"
    )
    return size, channels, (text,)


def _each(
    work: Callable[[Path], T], paths: list[Path], skip_bad: bool
) -> tuple[list[T], dict[str, int]]:
    def attempt(path: Path) -> T | UnreadablePicture:
        try:
            return work(path)
        except UnreadablePicture as error:
            return error

    good: list[T] = []
    bad: dict[str, int] = {}
    with ThreadPoolExecutor(max(torch.get_num_threads(), 1)) as pool:
        for path, result in zip(paths, pool.map(attempt, paths), strict=True):
            if not isinstance(result, UnreadablePicture):
                good.append(result)
            elif skip_bad:
                bad[str(path)] = 1
            else:
                raise UnreadablePicture(f"{result}; mend or remove it, or add --skip-bad")
    return good, bad
