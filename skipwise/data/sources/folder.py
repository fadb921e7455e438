"""A folder of class folders, with or without train, validation and test above them."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
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
        size: Height and width that pictures are brought to; empty takes the commonest, at most 224.
        channels: 1 for grey, 3 for colour; 0 is grey where all pictures are.
        shares: What is held out where parts are missing.
        flip: Whether the mirror image is as good an example.
        skip_bad: Leave out files that cannot be read, and say how many; else stop at the first.
    """

    path: str
    size: tuple[int, ...] = ()
    channels: int = 0
    shares: Shares = field(default_factory=Shares)
    flip: bool = True
    skip_bad: bool = False

    def __post_init__(self):
        if len(self.size) not in (0, 2) or any(side < 1 for side in self.size):
            raise ValueError(f"size must be [height, width] in pixels, got {list(self.size)}")
        if self.channels not in (0, 1, 3):
            raise ValueError(f"channels must be 1 or 3, or 0 to choose, got {self.channels}")

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
        headers = _each(header, paths, self.skip_bad)
        if not headers:
            raise ValueError(f"{root} holds no picture that can be read")
        size, channels, notes = _choose(list(headers.values()), self.size, self.channels)
        read = partial(read_picture, channels=channels, size=size)
        pictures = _each(read, list(headers), self.skip_bad)
        if skipped := len(paths) - len(pictures):
            notes += (f"{skipped} files that cannot be read were skipped",)
        parts = {}
        for part, listed in files.items():
            good = [(pictures[path], label) for path, label in listed if path in pictures]
            stack = torch.stack if good else lambda _: torch.empty((0, channels, *size))
            inputs = stack([picture for picture, _ in good]).to(torch.uint8)
            parts[part] = (inputs, torch.tensor([label for _, label in good], dtype=torch.long))
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
    headers: Sequence[tuple[tuple[int, int], bool]], wanted: tuple[int, ...], channels: int
) -> tuple[tuple[int, ...], int, tuple[str, ...]]:
    sizes = Counter(size for size, _ in headers)
    size = wanted or sizes.most_common(1)[0][0]
    if max(size) > LARGEST and not wanted:
        size = (LARGEST, LARGEST)
    channels = channels or (1 if all(grey for _, grey in headers) else 3)
    if set(sizes) == {size}:
        return size, channels, ()
    text = (
        f"pictures of {len(sizes)} size{'s' if len(sizes) > 1 else ''} are resized and cropped"
        f" in the middle to {size[0]}×{size[1]} pixels"
    )
    return size, channels, (text,)


def _each(work: Callable[[Path], T], paths: list[Path], skip_bad: bool) -> dict[Path, T]:
    def attempt(path: Path) -> T | UnreadablePicture:
        try:
            return work(path)
        except UnreadablePicture as error:
            return error

    good: dict[Path, T] = {}
    with ThreadPoolExecutor(max(torch.get_num_threads(), 1)) as pool:
        for path, result in zip(paths, pool.map(attempt, paths), strict=True):
            if not isinstance(result, UnreadablePicture):
                good[path] = result
            elif not skip_bad:
                raise UnreadablePicture(f"{result}; mend or remove it, or add --skip-bad")
    return good
