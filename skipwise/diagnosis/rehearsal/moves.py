"""What some steps on a copy did, in plain numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import final

from skipwise.analysis import Measurement


@final
@dataclass(frozen=True, kw_only=True)
class Moved:
    """What the steps did to one tensor.

    Args:
        ratios: ``‖θ' − θ‖/‖θ‖`` of each step; NaN where θ was zero.
        length: ``‖θ‖`` at the start.
        dimensions: Axes; 1 of a bias, or of the scale of a norm.
        dtype: ``float32`` for example.
        unmoved: Of the numbers that had a gradient, the share that a step left bit for bit as they
            were; median over the steps, NaN where there was no gradient.
        gradient: Root mean square of its gradient, median over the steps; 0 if there was none.
        rate: Of its group, at the end.
        momentum: Of its group; NaN but for SGD.
        decay: Weight decay inside the gradient; NaN but for SGD.
        mastered: Whether the optimiser keeps it in a higher precision.
    """

    ratios: tuple[float, ...]
    length: float
    dimensions: int
    dtype: str = "float32"
    unmoved: float = math.nan
    gradient: float = math.nan
    rate: float = math.nan
    momentum: float = math.nan
    decay: float = math.nan
    mastered: bool = False

    @property
    def ratio(self) -> float:
        """The median over the steps of the update against the weight; NaN if none is known."""
        return middle(self.ratios)


@final
@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What a few steps did.

    Args:
        losses: Of each step's batch before the step, in training mode.
        moved: By the name of a parameter that the optimiser holds.
        alphas: Where the last steps landed on their parabolas: −1 the start, 0 the valley, 1 the
            opposite wall at the same height.
        given: By how much each of these lowered the loss of its batch.
        promised: By how much its parabola said that it would.
        broke: What was not finite any more, ``the loss`` or the name of a parameter; empty if all
            was.
        rate: The largest of the groups, each without its own factor.
        optimiser: The name of its class.
        seconds: All of it took.
    """

    losses: tuple[float, ...]
    moved: Mapping[str, Moved] = field(default_factory=dict)
    alphas: tuple[float, ...] = ()
    given: tuple[float, ...] = ()
    promised: tuple[float, ...] = ()
    broke: str = ""
    rate: float = math.nan
    optimiser: str = ""
    seconds: float = math.nan

    def as_measurement(self) -> Measurement:
        """Give the moves as a table: a row for each parameter."""
        rows = list(self.moved.values())
        return Measurement(
            name="steps on a copy",
            formula="‖θ' − θ‖/‖θ‖, median over the steps; ‖θ‖; share of numbers that did not move",
            source="Karpathy, Johnson, Li (2015), CS231n",
            of="parameter",
            rows=tuple(self.moved),
            columns={
                "update / weight": tuple(each.ratio for each in rows),
                "weight": tuple(each.length for each in rows),
                "unmoved": tuple(each.unmoved for each in rows),
                "gradient": tuple(each.gradient for each in rows),
            },
            figures={
                "steps": float(len(self.losses)),
                "rate": self.rate,
                "first loss": self.losses[0] if self.losses else math.nan,
                "last loss": self.losses[-1] if self.losses else math.nan,
                "alpha, median": middle(self.alphas),
            },
            notes=(f"{self.broke} is not finite any more",) if self.broke else (),
            logarithmic=True,
        )


def middle(values: tuple[float, ...]) -> float:
    """Give the median of those that are finite; NaN if none is."""
    known = [value for value in values if math.isfinite(value)]
    return median(known) if known else math.nan
