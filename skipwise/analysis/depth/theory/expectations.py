"""What theory expects along the stages of a network, read off its structure and its weights.

The facts of a stage decide which theory speaks of it: with skips or without, with BatchNorm or
without, ReLU or tanh, and whether something follows the sum. The theory takes the network's own
weights, so that a start other than He's has its own curve. Where a stage has what the theory does
not know, another norm or activation, it does not hold, and its condition says why.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from skipwise.analysis.depth.theory.plain import plain
from skipwise.analysis.depth.theory.residual import residual
from skipwise.analysis.depth.theory.stage import Stage
from skipwise.analysis.measurement import Theory

PARTS = ("values", "low", "high")


def expectations(stage: Stage) -> Iterator[Theory]:
    """Give every theory that speaks of such a stage, with whether its condition is met."""
    if not stage.steps:
        return
    if stage.plain:
        yield from plain(stage)
    elif stage.skip:
        yield from residual(stage)


def along(stages: Iterable[Stage], rows: int) -> Iterator[Theory]:
    """Give the theories of several stages among so many rows, each from its own first row on.

    What one theory says of several stages is one curve: between them lie the blocks of which it
    says nothing.
    """
    joined: dict[Theory, list[Theory]] = {}
    for stage in stages:
        for theory in expectations(stage):
            bare = replace(theory, values=(), low=(), high=())
            joined.setdefault(bare, []).append(_placed(theory, stage.first, rows))
    for bare, placed in joined.items():
        yield replace(bare, **{part: _one([vars(t)[part] for t in placed]) for part in PARTS})


def _placed(theory: Theory, first: int, rows: int) -> Theory:
    """Put a stage's curve in its place among all rows."""

    def put(values: tuple[float, ...]) -> tuple[float, ...]:
        if not values:
            return ()
        return (*[math.nan] * first, *values, *[math.nan] * (rows - first - len(values)))

    return replace(theory, **{part: put(vars(theory)[part]) for part in PARTS})


def _one(curves: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Join curves that are known at different rows."""
    return tuple(
        next((value for value in values if not math.isnan(value)), math.nan)
        for values in zip(*curves, strict=True)
    )
