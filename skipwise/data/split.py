"""Splits: which examples are held out, as a pure function of the targets and the split's seed."""

import torch
from torch import Tensor

from skipwise.randomness import generator


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
