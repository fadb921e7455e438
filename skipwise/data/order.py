"""Which examples form batch t: a pure function of (seed, t).

The epochs' permutations follow each other without end, and batch t is the t-th run of ``size`` of
them. So every batch is full, every example comes once an epoch, and no example is dropped.
"""

from functools import lru_cache

import torch

from skipwise.randomness import generator
from skipwise.shapes import Index


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, examples: int) -> Index:
    """Give the order of one epoch."""
    return torch.randperm(examples, generator=generator(seed, "order", epoch))


def batch_index(seed: int, step: int, size: int, examples: int) -> Index:
    """Give the examples of batch ``step`` (counted from 0), shape ``(size,)``."""
    start, pieces = step * size, []
    while start < (step + 1) * size:
        epoch, offset = divmod(start, examples)
        piece = permutation(seed, epoch, examples)[offset : offset + (step + 1) * size - start]
        pieces.append(piece)
        start += len(piece)
    return torch.cat(pieces)


def share_of(count: int, rank: int, ranks: int) -> slice:
    """Give the run of ``count`` examples that process ``rank`` computes; shares differ by one.

    >>> [share_of(7, rank, 3) for rank in range(3)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
    """
    return slice(count * rank // ranks, count * (rank + 1) // ranks)
