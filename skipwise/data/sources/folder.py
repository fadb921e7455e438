"""A folder of class folders, with or without train, validation and test above them."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

from skipwise.data.assembly import in_short
from skipwise.data.pictures import PARTS, SUFFIXES, Gallery, Listing

Labelled = dict[Path, tuple[str, ...]]
Others = dict[Path, Counter[str]]  # how many files of each ending are no pictures, by class folder


@final
@dataclass(frozen=True, kw_only=True)
class Folder(Gallery):
    """Pictures in folders named by their class.

    ``path`` is the folder; below it are class folders, or ``train``, ``val`` and ``test`` with
    class folders below. With ``multi_label`` a class folder ``beach+sea`` gives both labels, and
    links to one file from several class folders are one example with several labels.

    Args: see :class:`skipwise.data.Gallery`.
    """

    @property
    def name(self) -> str:
        """The folder's name."""
        return Path(self.path).resolve().name

    def find(self) -> Listing:
        """List the pictures, class by class.

        Raises:
            ValueError: If there is no such folder, or links lead in a circle.
        """
        root = Path(self.path)
        if not root.is_dir():
            raise ValueError(f"{root} does not exist or is no folder")
        folders = _parts(root)
        names = _folders(folders["train"])
        if not names:
            raise ValueError(
                f"{folders['train']} has no class folders;"
                " pictures belong into one folder per class"
            )
        classes = tuple(sorted({label for name in names for label in self._labels(name)}))
        others: Others = {}
        found = {part: self._labelled(f, classes, others) for part, f in folders.items()}
        counts = Counter(label for labels in found["train"].values() for label in labels)
        lack = [name for name in names if not all(counts[label] for label in self._labels(name))]
        empty = _empty(folders["train"] / lack[0], others) if lack else ""
        files = {part: list(labelled) for part, labelled in found.items()}
        names = {
            part: tuple(str(path.relative_to(root)) for path in some)
            for part, some in files.items()
        }
        labels = {part: list(labelled.values()) for part, labelled in found.items()}
        notes = tuple(note for folder in folders.values() for note in _loose(folder))
        if left := sum(others.values(), Counter()):
            told = f"files left out, since their endings are not of pictures: {_counted(left)}"
            notes = (*notes, told)
        return Listing(
            files=files, names=names, labels=labels, classes=classes, empty=empty, notes=notes
        )

    def _labels(self, folder: str) -> tuple[str, ...]:
        return tuple(word for word in folder.split("+") if word) if self.multi_label else (folder,)

    def _labelled(self, folder: Path, classes: tuple[str, ...], others: Others) -> Labelled:
        found: Labelled = {}
        first: dict[tuple[int, int], Path] = {}
        for name in _folders(folder):
            if not set(self._labels(name)) <= set(classes):
                raise ValueError(f"{folder / name} is a class that the training part does not have")
            kinds = others.setdefault(folder / name, Counter())
            for path in pictures_below(folder / name, (_identity(folder),), kinds):
                place = first.setdefault(_identity(path), path) if self.multi_label else path
                found[place] = tuple(dict.fromkeys((*found.get(place, ()), *self._labels(name))))
        return found


def _parts(root: Path) -> dict[str, Path]:
    names = _folders(root)
    found = [name for name in names if name.lower() in PARTS]
    if found != names and len(found) == 1:  # a class may be called so
        found = [name for name in found if _folders(root / name)]
    named = {PARTS[name.lower()]: root / name for name in found}
    if "train" in named and len(named) < len(found):
        raise ValueError(
            f"{root} has several folders for one part among {', '.join(found)}; keep one of each"
        )
    if found == names and found and "train" not in named:
        raise ValueError(f"{root} has {', '.join(found)} but no train; add it, or rename them")
    return named if "train" in named else {"train": root}


def _empty(folder: Path, others: Others) -> str:
    kinds = others[folder]
    if not kinds:
        return f"{folder} holds no picture; fill the class or remove its folder"
    return (
        f"{folder} holds no picture that can be read, only {_counted(kinds)}; save them as .png or"
        " .jpg, or remove the folder"
    )


def _counted(kinds: Counter[str]) -> str:
    """Name the three commonest endings.

    >>> _counted(Counter({".heic": 300, ".npy": 12}))
    '300 .heic, 12 .npy'
    """
    return in_short([f"{count:,} {ending}" for ending, count in kinds.most_common()])


def _loose(folder: Path) -> Iterator[str]:
    files = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    if count := sum(path.is_file() and not path.name.startswith(".") for path in files):
        yield f"pictures left out, since no class folder holds them: {count} in {folder}"


def _folders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def pictures_below(
    folder: Path,
    above: tuple[tuple[int, int], ...] = (),
    others: Counter[str] | None = None,
) -> Iterator[Path]:
    """Yield the pictures of a folder and of all below it, links followed, hidden ones left out.

    Args:
        folder: The folder.
        above: The folders that it lies in, by device and number.
        others: Counts the endings of the files that are no pictures.

    Raises:
        ValueError: If a link leads to a folder above it.
    """
    here = _identity(folder)
    if here in above:
        raise ValueError(
            f"{folder} is a link to a folder above it, so that the search would never end;"
            " remove the link"
        )
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from pictures_below(path, (*above, here), others)
        elif path.suffix.lower() in SUFFIXES:
            yield path
        elif others is not None:
            others[path.suffix.lower() or "without ending"] += 1


def picture_files(words: Iterable[str]) -> list[Path]:
    """Turn files and folders into picture files; folders are searched to the bottom.

    Raises:
        ValueError: If a path does not exist or a folder holds no picture.
    """
    found: list[Path] = []
    for word in words:
        path = Path(word)
        if path.is_dir():
            inside = list(pictures_below(path))
            if not inside:
                raise ValueError(f"{path} holds no picture")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise ValueError(f"{path} does not exist")
    return found


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:  # a link to nothing, which reading it will say
        found = os.lstat(path)
    return found.st_dev, found.st_ino
