"""What is measured at the ends of blocks: gradients, names of the rows, stages of one shape."""

import math

import torch
from torch import Tensor

from skipwise.analysis.forward import Pass, Visit
from skipwise.shapes import AnyStream


def boundary_gradients(seen: Pass) -> list[tuple[Tensor, Tensor]]:
    """Give the loss's gradient at the start and at the end of every visit, from one backward pass.

    Where nothing flows the gradient is zero.
    """
    points = [point for visit in seen.visits for point in (visit.start, visit.end)]
    found = torch.autograd.grad(
        seen.loss, [point.edge for point in points], retain_graph=True, allow_unused=True
    )
    pairs = [p.zeros() if g is None else g for p, g in zip(points, found, strict=True)]
    return list(zip(pairs[::2], pairs[1::2], strict=True))


def row_names(visits: tuple[Visit, ...]) -> tuple[str, ...]:
    """Name the calls: a block that is called again gets its number, ``name (2)``."""
    counts: dict[str, int] = {}
    for visit in visits:
        counts[visit.site.name] = counts.get(visit.site.name, 0) + 1
    left, names = dict.fromkeys(counts, 0), []
    for visit in visits:
        left[visit.site.name] += 1
        number = left[visit.site.name]
        names.append(f"{visit.site.name} ({number})" if number > 1 else visit.site.name)
    return tuple(names)


def stage_ends(visits: tuple[Visit, ...]) -> list[int]:
    """Give for every visit the number of the last one of its stage.

    A stage is a row of blocks that keep one shape; a block that changes it ends one.
    """
    ends = list(range(len(visits)))
    for number in reversed(range(len(visits) - 1)):
        here, after = visits[number], visits[number + 1]
        if here.end.shape == after.start.shape and after.keeps_shape:
            ends[number] = ends[number + 1]
    return ends


def inner(left: AnyStream, right: AnyStream) -> float:
    """Give ⟨left, right⟩, summed in double precision."""
    return float(torch.dot(left.flatten().double(), right.flatten().double()))


def quotient(over: float, under: float) -> float:
    """Divide; what is divided by zero is not known."""
    return over / under if under else math.nan
