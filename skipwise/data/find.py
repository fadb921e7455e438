"""From a word on the command line to data: a name, a folder, a file, or something of the user's."""

from pathlib import Path
from typing import Any

from skipwise.data.dataset import Data
from skipwise.data.sources import (
    CIFAR,
    Arrays,
    Digits,
    FashionMNIST,
    Folder,
    Own,
    Parquet,
    Table,
    holds_tables,
)
from skipwise.description import Call, nearest


def digits() -> Data:
    """scikit-learn's 1,797 handwritten digits of 8×8 pixels; nothing is downloaded."""
    return Digits()


def cifar10() -> Data:
    """CIFAR-10, 60,000 colour pictures of 32×32 pixels, 10 classes; downloaded if absent."""
    return CIFAR(classes=10)


def cifar100() -> Data:
    """CIFAR-100, 60,000 colour pictures of 32×32 pixels, 100 classes; downloaded if absent."""
    return CIFAR(classes=100)


def fashion_mnist() -> Data:
    """Fashion-MNIST, 70,000 pictures of clothing, 28×28 pixels; Debian's package, or a download."""
    return FashionMNIST()


FILES = {".npz": Arrays, ".parquet": Parquet, ".csv": Table, ".tsv": Table}
NAMED = {"digits": digits, "fashion-mnist": fashion_mnist, "cifar10": cifar10, "cifar100": cifar100}


def find_data(word: str) -> Data:
    """Turn a word into data: a name, a folder, a file, or ``module:thing``.

    Raises:
        ValueError: If it is none of these; the nearest name is offered.
    """
    if word in NAMED:
        return NAMED[word]()
    path = Path(word).expanduser()
    whole = str(path.absolute())  # a run is used from other folders too
    if path.is_dir():
        return Parquet(path=whole) if holds_tables(path) else Folder(path=whole)
    if path.suffix.lower() in FILES:
        return FILES[path.suffix.lower()](path=whole)
    if path.is_file():
        raise ValueError(
            f"{word} is a file of a kind that cannot be trained on;"
            f" give a folder, or a file {', '.join(FILES)}"
        )
    module, _, attribute = word.partition(":")
    if attribute.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        return Own(dataset=Call(target=word))
    if path.parent != Path() or path.suffix:
        raise ValueError(
            f"{word} does not exist; give a folder, a file {', '.join(FILES)} or a name"
            f"{nearest(word, NAMED)}"
        )
    raise ValueError(
        f"there is no data set {word!r}, and no folder of that name{nearest(word, NAMED)}"
    )


def described(data: Any) -> Data:
    """Give the description of data: itself, what a word or a path names, or a set of one's own.

    Raises:
        TypeError: If there are none.
    """
    if data is None:
        raise TypeError(
            "data is None; name data, 'digits' for example, or give arrays (x, y) or a data set"
        )
    if isinstance(data, Data):
        return data
    return find_data(str(data)) if isinstance(data, str | Path) else Own(dataset=data)
