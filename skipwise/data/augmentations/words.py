"""Augmentations by their words: ``pad-crop,flip,mixup``."""

import re
from collections.abc import Sequence

from skipwise.data.augmentations.augmentation import Augmentation, Mixing
from skipwise.description import nearest

Change = Augmentation | Mixing


def find_augmentation(given: str | Change | Sequence[str | Change]) -> tuple[Change, ...]:
    """Turn ``pad-crop,flip,mixup`` into augmentations with their defaults; ``none`` is none.

    Args:
        given: Words, descriptions, which stay as they are, or several of either.

    Raises:
        ValueError: If there is no such augmentation; the nearest is offered.
    """
    if isinstance(given, str):
        given = [] if given == "none" else given.split(",")
    elif not isinstance(given, Sequence):
        given = [given]
    return tuple(map(_found, given))


def known_augmentations() -> dict[str, type[Change]]:
    """Give the augmentations as the command line spells them."""
    from skipwise.data import augmentations

    kinds = (v for v in vars(augmentations).values() if isinstance(v, type))
    contracts = (Augmentation, Mixing)
    return {
        spelled(kind.__name__): kind
        for kind in kinds
        if issubclass(kind, contracts) and kind not in contracts
    }


def spelled(name: str) -> str:
    """Spell a class as the command line does: ``PadCrop`` is ``pad-crop``.

    >>> spelled("PadCrop"), spelled("pad-crop"), spelled("CutMix")
    ('pad-crop', 'pad-crop', 'cut-mix')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name.strip()).lower()


def _found(given: str | Change) -> Change:
    if isinstance(given, Change):
        return given
    if not isinstance(given, str):
        raise ValueError(f"an augmentation is a word, 'flip', or a description, got {given!r}")
    known = known_augmentations()
    short = {name.replace("-", ""): name for name in known}  # cutmix is cut-mix
    word = spelled(given)
    word = short.get(word.replace("-", ""), word)
    if word not in known:
        raise ValueError(f"there is no augmentation {word!r}{nearest(word, known)}")
    return known[word]()
