"""The lesson on depth: where gradients vanish, explode, are healthy in vain, and what a skip does.

Every design is measured at its start at every depth and with several seeds, which is cheap, then
trained, the shallow ones first. What is next is begun only if the time that the work before it took
says that it will fit.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from skipwise.data import CLASSES, Data, Dataset, find_data
from skipwise.lessons.chain import DESIGNS
from skipwise.lessons.clock import Clock
from skipwise.lessons.starts import likeness, measured_batch, profile, start_of
from skipwise.lessons.trainings import WORDS, trained, training_of
from skipwise.reports.lesson.record import DepthLesson, Likeness, Profile, Setting, Training

Tell = Callable[[str], None]
DEPTHS = (8, 20, 56, 110)
LARGEST = 20_000  # numbers of an input that a dense stem reads in this time
COMPARED = ("plain", "scaled")  # twins without norms: theory of likeness speaks of both
SLACK = 1.2  # what is next may take so much longer than the work before it foretells
CLOSING_SECONDS = 3.0  # kept for the page, or a tenth of a short lesson


@dataclass(frozen=True, kw_only=True)
class Scope:
    """How much a lesson does, if there is time.

    Args:
        depths: Layers, rising.
        width: Of every layer.
        batch: Examples an update.
        measured: Examples in the batch that is measured.
        steps: Updates of a training.
        trainings: Seeds of trainings.
        starts: Seeds of measured starts.
    """

    depths: tuple[int, ...] = DEPTHS
    width: int = 64
    batch: int = 64
    measured: int = 256
    steps: int = 60
    trainings: int = 3
    starts: int = 5

    def __post_init__(self):
        if not self.depths or list(self.depths) != sorted(set(self.depths)):
            raise ValueError(f"depths must rise, got {self.depths}")
        for name in ("width", "steps", "trainings", "starts"):
            if vars(self)[name] < 1:
                raise ValueError(f"{name} must be positive, got {vars(self)[name]}")
        if min(self.batch, self.measured) < 2:
            raise ValueError("batch and measured must be at least 2, since norms are taken over it")


@dataclass(kw_only=True)
class _Work:
    """What a lesson works with, and what it has so far."""

    data: Data
    dataset: Dataset
    scope: Scope
    seed: int
    clock: Clock
    profiles: list[Profile] = field(default_factory=list)
    likenesses: list[Likeness] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def starts(self) -> tuple[int, ...]:
        return tuple(range(self.seed, self.seed + self.scope.starts))

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.starts[: self.scope.trainings]


def depth_lesson(
    data: str = "digits",
    *,
    seed: int = 0,
    seconds: float = 120.0,
    scope: Scope | None = None,
    tell: Tell = lambda _: None,
) -> DepthLesson:
    """Measure and train plain and residual networks of rising depth.

    Args:
        data: What ``train`` takes: a name, a folder, a file; it must have classes.
        seed: The first seed; the others follow it.
        seconds: Time for all of it, page included; deep networks are left out rather than more
            taken.
        scope: How much is done if there is time.
        tell: Is told what goes on.

    Returns:
        The record. The same seed gives the same numbers, for the depths that were reached.

    Raises:
        ValueError: If the data have no classes, or inputs too large for a dense layer.
    """
    clock = Clock(seconds, kept=min(CLOSING_SECONDS, seconds / 10))
    scope = Scope() if scope is None else scope
    described = find_data(data)
    dataset = described.load()
    _check(dataset)
    work = _Work(data=described, dataset=dataset, scope=scope, seed=seed, clock=clock)
    with _one_thread():
        reached = tuple(_measured(work, tell))
        _train(work, reached, tell)
    work.left_out.extend(_never_trained(reached))
    return DepthLesson(
        setting=_setting(work, command(data, seed, seconds)),
        names={key: design.name for key, design in DESIGNS.items()},
        depths=reached,
        profiles=tuple(work.profiles),
        likenesses=tuple(work.likenesses),
        trainings=tuple(work.trainings),
        left_out=tuple(work.left_out),
        seconds=clock.spent,
    )


def _setting(work: _Work, again: str) -> Setting:
    examples = len(work.dataset.train)
    return Setting(
        data=work.dataset.name,
        examples=examples,
        classes=len(work.dataset.classes),
        width=work.scope.width,
        batch=min(work.scope.batch, examples),
        measured=min(work.scope.measured, examples),
        steps=work.scope.steps,
        seeds=work.seeds,
        starts=work.starts,
        rates={key: design.rate for key, design in DESIGNS.items()},
        strategy=WORDS,
        command=again,
    )


def command(data: str, seed: int, seconds: float) -> str:
    """Give the command that repeats a lesson."""
    words = ["skipwise", "explain", "depth"]
    words += ["--data", data] if data != "digits" else []
    words += ["--seed", str(seed)] if seed else []
    words += ["--seconds", f"{seconds:g}"] if seconds != 120 else []
    return shlex.join(words)


def _check(dataset: Dataset) -> None:
    if dataset.task != CLASSES:
        raise ValueError(
            f"the lesson trains classifiers, and {dataset.name} is {dataset.task}; take digits"
        )
    numbers = torch.Size(dataset.ends.inputs).numel()
    if numbers > LARGEST:
        raise ValueError(
            f"the lesson reads an input as one vector, and those of {dataset.name} have"
            f" {numbers:,} numbers, more than {LARGEST:,}; take smaller pictures, or digits"
        )


def _measured(work: _Work, tell: Tell) -> Iterator[int]:
    """Measure one depth after the other, and yield those that were begun."""
    before: tuple[int, float] | None = None
    depths = work.scope.depths
    for number, depth in enumerate(depths):
        needed = 0.0 if before is None else SLACK * before[1] * depth / before[0]
        if before is not None and needed >= work.clock.left:
            left = _layers(depths[number:])
            work.left_out.append(f"Networks of {left} are left out: {_why(work.clock, needed)}")
            return
        began = work.clock.spent
        yield depth
        if not _measure(work, depth, tell):
            left = _layers(depths[number:])
            work.left_out.append(f"The time was over before all networks of {left} were measured.")
            return
        before = depth, work.clock.spent - began


def _never_trained(depths: Sequence[int]) -> Iterator[str]:
    """Say which networks nobody would train, of those that were measured."""
    for design in DESIGNS.values():
        if any(depth > design.trained_to for depth in depths):
            yield (
                f"Networks of {design.name} of more than {design.trained_to} layers are measured"
                " and not trained: they learn nothing."
            )


def _layers(depths: Sequence[int]) -> str:
    *most, last = map(str, depths)
    return f"{', '.join(most)} and {last} layers" if most else f"{last} layers"


def _why(clock: Clock, needed: float) -> str:
    if not needed:
        return "the time was over; --seconds gives more."
    return (
        f"that takes about {needed:.0f} s, and of {clock.seconds:.0f} s there were"
        f" {max(clock.left, 0):.0f} left; --seconds gives more."
    )


def _measure(work: _Work, depth: int, tell: Tell) -> bool:
    """Measure every design with every seed; False if the time was over before."""
    batch = measured_batch(work.dataset, work.scope.measured, work.seed)
    tell(f"{depth} layers: measuring")
    for key, design in DESIGNS.items():
        starts = [
            start_of(design, depth, work.scope.width, work.dataset, seed) for seed in work.starts
        ]
        work.profiles.append(profile(key, depth, starts, batch))
        if key in COMPARED:
            work.likenesses.append(likeness(key, depth, starts[: len(work.seeds)], batch))
        if work.clock.left <= 0:
            return False
    return True


def _train(work: _Work, depths: Sequence[int], tell: Tell) -> None:
    """Train round by round: all designs of one depth with one seed, the shallow ones first."""
    before: tuple[int, float] | None = None
    rounds = [(depth, seed) for depth in depths for seed in work.seeds]
    for number, (depth, seed) in enumerate(rounds):
        needed = 0.0 if before is None else SLACK * before[1] * depth / before[0]
        if needed >= work.clock.left:
            why = f"are left out: {_why(work.clock, needed)}"
            work.left_out.append(f"{_rounds(rounds[number:])} {why}")
            return
        began = work.clock.spent
        tell(f"{depth} layers: training with seed {seed}")
        found = list(_round(work, depth, seed))
        if None in found:
            why = "are left out: the time was over before their end."
            work.left_out.append(f"{_rounds(rounds[number:])} {why}")
            return
        work.trainings += [training for training in found if training is not None]
        before = depth, work.clock.spent - began


def _round(work: _Work, depth: int, seed: int) -> Iterator[Training | None]:
    """Train all designs; ends with None if the time is over before."""
    scope = work.scope
    for key, design in DESIGNS.items():
        if depth > design.trained_to:
            continue
        experiment = training_of(
            work.data,
            design,
            depth,
            width=scope.width,
            steps=scope.steps,
            seed=seed,
            batch=scope.batch,
        )
        found = trained(key, depth, experiment, work.dataset, work.clock)
        yield found
        if found is None:
            return


def _rounds(rounds: Sequence[tuple[int, int]]) -> str:
    """Name rounds: those of the first depth by their seeds, the others by their depth."""
    first = rounds[0][0]
    seeds = [seed for depth, seed in rounds if depth == first]
    others = sorted({depth for depth, _ in rounds} - {first})
    word = "seed" if len(seeds) == 1 else "seeds"
    more = f", and all of {_layers(others)}," if others else ""
    return f"Trainings of {first} layers with {word} {', '.join(map(str, seeds))}{more}"


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: layers this small gain nothing by more, and sums keep their order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
