"""What a study leaves behind as plain data: its design, declared before training, and its runs.

An arm is a network with a strategy, and perhaps with settings of its own. The runs of two arms that
share a seed share data, split and order: they are a pair. Whoever trains writes these records, and
all else here is computed from them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from skipwise.records import finite

NO_TEST = "no test part"  # the fact that says so


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train. ``settings`` holds what it sets apart from the strategy's own, as words."""

    name: str
    network: str
    strategy: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """The arm without its network: the strategy and what is set apart."""
        apart = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        return f"{self.strategy} ({apart})" if apart else self.strategy


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """Which arms tell what the parts of a strategy are worth; the values are names of arms.

    ``without`` leaves one part out of ``full``, ``only`` adds one part to ``none``.
    """

    full: str
    none: str = ""
    without: Mapping[str, str] = field(default_factory=dict)
    only: Mapping[str, str] = field(default_factory=dict)

    @property
    def arms(self) -> tuple[str, ...]:
        """Every arm that is named."""
        named = (self.full, self.none, *self.without.values(), *self.only.values())
        return tuple(name for name in named if name)


@dataclass(frozen=True, kw_only=True)
class Design:
    """All that is decided before a study trains.

    Args:
        data: What the arms are trained on, in a word.
        metric: What ``score`` is, in words (``accuracy``).
        arms: The ways to train.
        seeds: One run of every arm each.
        family: Pairs of arms (first, second) that get a verdict, on the first against the second.
        lower_is_better: Whether a low score is a good one.
        percent: Whether a score is a share, which words and tables write in per cent and points.
        level: Probability of any false verdict in the family that is put up with.
        margin: A difference that matters to nobody, in the unit of the score; None if none is.
        target: The score to which time is counted; None if it is not.
        worst: The score of a run that diverged, for example that of guessing; None: see
            :func:`skipwise.comparison.scores.worst_score`.
        earlier_seeds: How many seeds were planned before, each time that more were asked for.
        ablation: The arms that leave parts out, if it is a study of parts.
        facts: Whatever a reader should know: budget, hashes of data and splits, versions, device.

    Raises:
        ValueError: If names or seeds occur twice, or the family names an unknown arm.
    """

    data: str
    metric: str
    arms: Sequence[Arm]
    seeds: Sequence[int]
    family: Sequence[tuple[str, str]] = ()
    lower_is_better: bool = False
    percent: bool = False
    level: float = 0.05
    margin: float | None = None
    target: float | None = None
    worst: float | None = None
    earlier_seeds: Sequence[int] = ()
    ablation: Ablation | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        names = [arm.name for arm in self.arms]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"a study needs arms with names of their own, got {names}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"a study needs seeds, each once, got {list(self.seeds)}")
        if not 0 < self.level < 1:
            raise ValueError(f"`level` must lie between 0 and 1, got {self.level}")
        if self.margin is not None and not self.margin > 0:
            raise ValueError(f"`margin` must be positive, got {self.margin}")
        pairs = [frozenset(pair) for pair in self.family]
        if len(set(pairs)) < len(pairs) or any(len(pair) != 2 for pair in pairs):
            raise ValueError("a family holds pairs of two different arms, each pair once")
        named = {name for pair in pairs for name in pair}
        named |= set(self.ablation.arms) if self.ablation else set()
        if unknown := sorted(named - set(names)):
            raise ValueError(f"the study has no arm {unknown[0]!r}; its arms are {names}")

    def arm(self, name: str) -> Arm:
        """Give an arm by its name."""
        return next(arm for arm in self.arms if arm.name == name)


@dataclass(frozen=True, kw_only=True)
class Point:
    """The validation score after so many steps and so many seconds of training."""

    step: int
    seconds: float
    score: float


@dataclass(frozen=True, kw_only=True)
class ArmRun:
    """One run of one arm, finished or diverged.

    ``score`` is that of the part that neither tuned nor chose weights. What is counted to the
    target is infinite for a run that never reached it. ``gradient_flow`` is the gradient norm of
    each layer, from the input on, the median over the run. ``path`` is the folder of the run, as
    seen from the study's folder.
    """

    arm: str
    seed: int
    score: float
    diverged: bool = False
    curve: Sequence[Point] = ()
    steps: int = 0
    seconds: float = math.nan
    steps_to_target: float = math.inf
    seconds_to_target: float = math.inf
    macs_to_target: float = math.inf
    clipped: int = 0
    skipped: int = 0
    rolled_back: int = 0
    gradient_flow: Sequence[float] = ()
    path: str = ""

    @property
    def failed(self) -> bool:
        """Whether the run has no score to count with."""
        return self.diverged or not math.isfinite(self.score)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial of the tuning of an arm: what was set, and the score on validation.

    ``score`` is NaN where the trial diverged; ``chosen`` marks the one that the arm's runs use;
    ``share`` is the part of the length at which it was scored, less than 1 if it was halved away.
    """

    arm: str
    settings: Mapping[str, float]
    score: float
    seconds: float = math.nan
    chosen: bool = False
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """A study as far as it has come: runs that are not there yet are missing, not failed.

    Raises:
        ValueError: If a run is of no arm or seed of the design, or is there twice.
    """

    design: Design
    runs: Sequence[ArmRun] = ()
    trials: Sequence[Trial] = ()

    def __post_init__(self):
        names = {arm.name for arm in self.design.arms}
        seen: set[tuple[str, int]] = set()
        for run in self.runs:
            key = run.arm, run.seed
            if run.arm not in names or run.seed not in self.design.seeds:
                raise ValueError(f"the study plans no run of {run.arm!r} with seed {run.seed}")
            if key in seen:
                raise ValueError(f"the run of {run.arm!r} with seed {run.seed} is there twice")
            seen.add(key)
        for trial in self.trials:
            if trial.arm not in names:
                raise ValueError(f"a trial belongs to {trial.arm!r}, which is no arm of the study")

    def of(self, arm: str) -> dict[int, ArmRun]:
        """Give the runs of an arm by their seeds, in the order of the design."""
        found = {run.seed: run for run in self.runs if run.arm == arm}
        return {seed: found[seed] for seed in self.design.seeds if seed in found}


INFINITE = ("steps_to_target", "seconds_to_target", "macs_to_target")


def study_to_text(record: StudyRecord) -> str:
    """Write a study as one JSON object; numbers that are not finite become null."""
    return json.dumps(finite(asdict(record)), ensure_ascii=False)


def study_from_text(text: str) -> StudyRecord:
    """Read back what :func:`study_to_text` wrote.

    Raises:
        ValueError: If it is no study.
    """
    try:
        plain = json.loads(text)
        design = dict(plain["design"])
        design["arms"] = tuple(Arm(**arm) for arm in design["arms"])
        design["seeds"] = tuple(design["seeds"])
        design["earlier_seeds"] = tuple(design.get("earlier_seeds", ()))
        design["family"] = tuple((first, second) for first, second in design["family"])
        if design.get("ablation") is not None:
            design["ablation"] = Ablation(**design["ablation"])
        return StudyRecord(
            design=Design(**design),
            runs=tuple(_run(run) for run in plain["runs"]),
            trials=tuple(Trial(**_numbers(trial)) for trial in plain["trials"]),
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is no record of a study: {error}") from None


def _run(plain: Mapping[str, Any]) -> ArmRun:
    fields = _numbers(plain)
    fields["curve"] = tuple(Point(**_numbers(point)) for point in fields["curve"])
    fields["gradient_flow"] = tuple(math.nan if v is None else v for v in fields["gradient_flow"])
    return ArmRun(**fields)


def _numbers(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Undo ``finite``: what was counted to a target is infinite where it is null, the rest NaN."""
    missing = {True: math.inf, False: math.nan}
    return {k: missing[k in INFINITE] if v is None else v for k, v in plain.items()}
