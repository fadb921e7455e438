"""The record of a lesson on depth: what was measured, expected and trained, as plain numbers."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

from skipwise.records import finite

END = 0.2  # share of a training whose mean loss is the loss at its end


@final
@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all networks of a lesson share.

    Args:
        data: Name of the data.
        examples: Of the training part.
        classes: Of the data.
        width: Of every layer.
        batch: Examples an update.
        measured: Examples in the batch that is measured.
        steps: Updates of a training.
        seeds: Of trainings.
        starts: Seeds of measured starts.
        rates: Learning rate of each design.
        strategy: How they are trained, in words.
        command: What repeats the lesson.
    """

    data: str
    examples: int
    classes: int
    width: int
    batch: int
    measured: int
    steps: int
    seeds: tuple[int, ...]
    starts: tuple[int, ...]
    rates: dict[str, float]
    strategy: str
    command: str


@final
@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A theory's curve of the gradient norm, relative to the end, and whether it holds here."""

    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    formula: str
    condition: str
    source: str
    holds: bool


@final
@dataclass(frozen=True, kw_only=True)
class Profile:
    """The gradient norm along one design at one depth, at the start of training.

    Args:
        design: Key of the design.
        depth: Layers.
        gradients: ``‖g_l‖/‖g_L‖`` at the input of every block and at the end of the last, for each
            seed.
        correlations: Mean cosine of the streams of two examples at the end, for each seed.
        expectation: What theory says, or None.
    """

    design: str
    depth: int
    gradients: tuple[tuple[float, ...], ...]
    correlations: tuple[float, ...]
    expectation: Expectation | None = None

    @property
    def ratios(self) -> tuple[float, ...]:
        """``‖g_0‖/‖g_L‖`` of each seed: what of the gradient reaches the first block."""
        return tuple(seed[0] for seed in self.gradients)

    @property
    def ratio(self) -> float:
        """Their median."""
        return statistics.median(self.ratios)

    @property
    def layers(self) -> int:
        """Layers between the first block's input and the end of the last block."""
        return 2 * (len(self.gradients[0]) - 1)

    @property
    def per_layer(self) -> float:
        """The factor on the norm for each of these layers, ``ratio^(1/layers)``."""
        return self.ratio ** (1 / self.layers)

    @property
    def scatter(self) -> float:
        """Standard deviation over the seeds of ``log ‖g_0‖²/‖g_L‖²``; NaN for fewer than two."""
        logs = [2 * math.log(ratio) for ratio in self.ratios if ratio > 0]
        return statistics.stdev(logs) if len(logs) > 1 else math.nan


@final
@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How alike the gradients of two examples are at the first block, for each seed.

    ``expected`` is what theory says of their mean, from the measured co-activation.
    """

    design: str
    depth: int
    cosines: tuple[float, ...]
    expected: float


@final
@dataclass(frozen=True, kw_only=True)
class Training:
    """One training: the loss of every batch before its update, and what came of it.

    Args:
        design: Key of the design.
        depth: Layers.
        seed: Of weights and batches.
        losses: The last is not finite if it diverged.
        error: Share of wrong answers on the training examples at the end; NaN if it diverged.
    """

    design: str
    depth: int
    seed: int
    losses: tuple[float, ...]
    error: float

    @property
    def diverged(self) -> bool:
        """Whether it ended in a loss that is not finite."""
        return not math.isfinite(self.losses[-1])

    @property
    def end_loss(self) -> float:
        """Mean loss over the last fifth of the steps; infinite if it diverged."""
        if self.diverged:
            return math.inf
        return statistics.fmean(self.losses[-max(round(END * len(self.losses)), 1) :])


@final
@dataclass(frozen=True, kw_only=True)
class DepthLesson:
    """All of it.

    Args:
        setting: What the networks share.
        names: What a reader calls the designs, by key, in the order of the lesson.
        depths: Those that were reached, rising.
        profiles: One for each design and depth that was measured.
        likenesses: One for each that was measured.
        trainings: One for each design, depth and seed that was trained.
        left_out: What was not done, and why, one sentence each.
        seconds: How long all took.
    """

    setting: Setting
    names: dict[str, str]
    depths: tuple[int, ...]
    profiles: tuple[Profile, ...]
    likenesses: tuple[Likeness, ...]
    trainings: tuple[Training, ...]
    left_out: tuple[str, ...]
    seconds: float

    def profile(self, design: str, depth: int) -> Profile | None:
        """Give what was measured of a design at a depth, or None."""
        found = (p for p in self.profiles if (p.design, p.depth) == (design, depth))
        return next(found, None)

    def profiles_of(self, design: str) -> list[Profile]:
        """Give a design's profiles by rising depth."""
        return sorted((p for p in self.profiles if p.design == design), key=lambda p: p.depth)

    def likeness(self, design: str, depth: int) -> Likeness | None:
        """Give how alike gradients were, or None."""
        found = (k for k in self.likenesses if (k.design, k.depth) == (design, depth))
        return next(found, None)

    def trained(self, design: str, depth: int) -> list[Training]:
        """Give the trainings of a design at a depth, by seed."""
        found = (t for t in self.trainings if (t.design, t.depth) == (design, depth))
        return sorted(found, key=lambda t: t.seed)

    def trained_depths(self, design: str) -> list[int]:
        """Give the depths at which a design was trained, rising."""
        return sorted({t.depth for t in self.trainings if t.design == design})

    def as_plain(self) -> dict[str, Any]:
        """Give what JSON can write; numbers that are not finite become None."""
        return finite(asdict(self))


def mean_loss(trainings: Sequence[Training]) -> float:
    """Give the mean of the losses at the end; infinite if one diverged."""
    return statistics.fmean(t.end_loss for t in trainings) if trainings else math.nan


def paired(first: Sequence[Training], second: Sequence[Training]) -> Iterator[tuple[float, float]]:
    """Yield the end losses of two sets of trainings, seed by seed, where both have the seed."""
    others = {t.seed: t.end_loss for t in second}
    yield from ((t.end_loss, others[t.seed]) for t in first if t.seed in others)
