"""Splits: which examples are held out, as a pure function of the targets and the split's seed."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from skipwise.data.dataset import CLASSES, LABELS
from skipwise.randomness import generator
from skipwise.shapes import Index


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How much is held out where the data have no parts of their own.

    Args:
        validation: Share of the training examples on which choices are made.
        test: Share of all examples that takes part in no choice.
        split_seed: Fixed for a data set: the test part never moves.
    """

    validation: float = 0.1
    test: float = 0.2
    split_seed: int = 0

    def __post_init__(self):
        for name, share in (("validation", self.validation), ("test", self.test)):
            if not 0 <= share < 1:
                raise ValueError(
                    f"{name} is a share of the data and must lie in [0, 1), got {share}"
                )


def are_classes(targets: Tensor) -> bool:
    """Whether targets are class indices: whole numbers, one an example."""
    return not targets.is_floating_point() and targets.dim() == 1


def held_out(targets: Tensor, share: float, *, seed: int, purpose: str) -> tuple[Tensor, Tensor]:
    """Choose the rows that stay and the rows that are held out, class by class.

    Every class gives ``share`` of its examples, rounded; a class with at least two examples gives
    at least one and keeps at least one. Numbers (floating point targets) are not stratified.

    Args:
        targets: Class indices ``(examples,)``, or numbers.
        share: Fraction held out, in [0, 1).
        seed: The split's seed; fixed for a data set.
        purpose: ``"test"`` or ``"validation"``: each draws for itself.

    Returns:
        Two sorted index tensors.

    Raises:
        ValueError: If ``share`` lies outside [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share held out for {purpose} must lie in [0, 1), got {share}")
    groups = targets if are_classes(targets) else torch.zeros(len(targets), dtype=torch.long)
    taken = []
    for group in groups.unique().tolist() if share > 0 else []:
        rows = (groups == group).nonzero().flatten()
        count = min(max(round(share * len(rows)), 1), len(rows) - 1)
        taken.append(
            rows[torch.randperm(len(rows), generator=generator(seed, purpose, group))[:count]]
        )
    out = torch.cat(taken).sort().values if taken else torch.empty(0, dtype=torch.long)
    stays = torch.ones(len(targets), dtype=torch.bool)
    stays[out] = False
    return stays.nonzero().flatten(), out


def hold_out(
    targets: Mapping[str, Tensor], shares: Shares, task: str, classes: tuple[str, ...]
) -> tuple[dict[str, Index], tuple[str, ...]]:
    """Choose the training examples that become the parts which are missing.

    Args:
        targets: Of ``train``, perhaps ``validation`` and ``test``.
        shares: How much is held out.
        task: Of the data set.
        classes: Their names; empty for numbers.

    Returns:
        Rows of ``train`` for itself and for each part that is taken from it; what a reader should
        know.
    """
    rows, notes = {"train": torch.arange(len(targets["train"]))}, []
    # Who brings train and validation but no test part keeps it so: nothing is carved out unasked.
    wanted = {
        "test": shares.test if "validation" not in targets or shares.test != Shares.test else 0.0,
        "validation": shares.validation,
    }
    for part, share in wanted.items():
        asked = getattr(shares, part) != getattr(Shares, part)
        if part in targets and len(targets[part]):
            if asked:
                notes.append(
                    f"the share for {part} has no effect: the data have a part of their own"
                )
            continue
        left = targets["train"][rows["train"]]
        strata = rarest(left) if task == LABELS else left
        stay, out = held_out(strata, share, seed=shares.split_seed, purpose=part)
        if len(out):
            rows["train"], rows[part] = rows["train"][stay], rows["train"][out]
            notes.append(
                f"{len(out)} examples held out for {part} (split seed {shares.split_seed})"
            )
            if task == CLASSES and (few := absent(left[out], classes)):
                notes.append(f"too few examples to hold one out for {part}: {', '.join(few)}")
        else:
            scored = ": no score is free of choices" if part == "test" else ""
            notes.append(f"there is no {part} part{scored}")
    return rows, tuple(notes)


def rarest(targets: Tensor) -> Tensor:
    """Give each row of labels the class by which it is split: its rarest; one more for none.

    >>> rarest(torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])).tolist()
    [1, 0, 2]
    """
    counts = targets.sum(0).expand_as(targets)
    sizes = torch.where(targets > 0, counts, torch.inf)
    return torch.where(targets.any(1), sizes.argmin(1), targets.shape[1])


def absent(targets: Tensor, classes: tuple[str, ...]) -> list[str]:
    """Name the classes without example, of class indices or of rows of labels."""
    pairs = zip(classes, counted(targets, classes), strict=True)
    return [name for name, count in pairs if not count]


def counted(targets: Tensor, classes: tuple[str, ...]) -> tuple[int, ...]:
    """Count the examples of each class, of class indices or of rows of labels."""
    several = targets.dim() == 2
    counts = targets.sum(0) if several else torch.bincount(targets, minlength=len(classes))
    return tuple(map(int, counts.tolist()))
