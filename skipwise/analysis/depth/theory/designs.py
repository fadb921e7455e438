"""How far a stage is from the designs whose start has closed forms."""

import math
from collections.abc import Sequence

from skipwise.analysis.depth.meanfield import (
    BATCH_NORM_FACTOR,
    VARIANCE_STEP,
    backwards,
    forwards,
    scales,
)
from skipwise.analysis.depth.theory.stage import Stage


def distances(stage: Stage) -> dict[str, float]:
    """Give how far the stage is from each design: the root mean square of logarithms' differences.

    Compared are the second moment, relative to the first block, and the squared gradient, relative
    to the last; designs with skips are compared with stages that have them, plain ones with plain.
    """
    blocks = len(stage.steps)
    if not blocks or not (stage.skip or stage.plain):
        return {}
    found = {}
    for name, (forward, backward) in _designs(stage, blocks).items():
        pairs = [
            *zip(stage.moment, (stage.moment[0] * f for f in forward), strict=True),
            *zip(
                (g * g for g in stage.gradient),
                (stage.gradient[-1] ** 2 * b for b in backward),
                strict=True,
            ),
        ]
        if all(a > 0 and b > 0 and math.isfinite(a) for a, b in pairs):
            squares = [math.log(a / b) ** 2 for a, b in pairs]
            found[name] = math.sqrt(sum(squares) / len(squares))
    return found


def _designs(stage: Stage, blocks: int) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    flat = (1.0,) * (blocks + 1)
    layers = max(len(stage.steps[0].bends), 1)
    if stage.plain:
        factor = BATCH_NORM_FACTOR**layers
        exploding = backwards([factor] * blocks)
        return {"plain, He": (flat, flat), "plain, BatchNorm": (flat, exploding)}
    found = {}
    for name in ("unscaled", "1/√L", "1/L", "decreasing", "identity"):
        factors = [1 + scale for scale in scales(name, blocks)]
        found[f"residual, {name}"] = (forwards(factors), backwards(factors))
    start = stage.moment[0]
    spread = stage.variance[0]
    if not (start > 0 and spread > 0):  # one example, or nothing at all: no batch to normalise over
        return found
    factors = [
        1 + BATCH_NORM_FACTOR ** (layers - 1) / (spread + VARIANCE_STEP * block)
        for block in range(blocks)
    ]
    grown = tuple(1 + block / start for block in range(blocks + 1))
    return {**found, "residual, BatchNorm": (grown, backwards(factors))}
