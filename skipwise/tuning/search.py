"""Which learning rate suits a network, a strategy and data: measured, with an interval.

Range tests (:mod:`skipwise.tuning.range_test`), one a seed, say where to look; short runs at a
third of that rate, at it and at three times as much decide, by their loss on validation data, and
go on while the best of them stands at the edge; then they stand closer about the best. What is
given is the middle of the rates that the seeds do not tell from the best.

Source: Smith (2017), "Cyclical learning rates for training neural networks", section 3.3, for the
range test. What is known to go wrong with it (a state that is not given back, a schedule that stays
in place, groups with one rate, a result that changes with the seed and the range) is tested.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skipwise.data import Dataset
from skipwise.experiment import Experiment, compose
from skipwise.finetuning import check_freeze
from skipwise.strategies import rate_notes
from skipwise.tuning.confirm import (
    NothingFound,
    alike,
    best_of,
    climb,
    interval,
    middle,
    scores_of,
    tidy,
)
from skipwise.tuning.found import FoundRate
from skipwise.tuning.range_test import Sweep, sweep
from skipwise.tuning.trials import Trial, amount_of, check_rate_is_theirs, short_run

LEAST_STEPS = 20
LOWER = 1e3  # so many times lower a range begins after one whose loss did not fall
Tell = Callable[[str], None]  # is told what goes on


@dataclass(frozen=True, kw_only=True)
class Search:
    """How much is tried.

    Args:
        seeds: How many range tests, and runs at each rate.
        steps: Updates of each of them.
        low: Lowest rate of the range tests.
        high: Highest.
    """

    seeds: int = 3
    steps: int = 100
    low: float = 1e-6
    high: float = 10.0

    def __post_init__(self):
        if self.seeds < 1:
            raise ValueError(f"seeds must be positive, got {self.seeds}; 3 give an interval")
        if self.steps < LEAST_STEPS:
            raise ValueError(
                f"a range test of {self.steps} steps says nothing; give at least {LEAST_STEPS},"
                " 100 for example"
            )
        if not 0 < self.low < self.high < math.inf:
            raise ValueError(
                f"the range of rates from {self.low:g} to {self.high:g} is empty or not positive;"
                " give a low one and a higher one, 1e-6 and 10 for example"
            )


def find_rate(
    data: Any,
    network: Any = None,
    strategy: Any = None,
    *,
    search: Search | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    low: float | None = None,
    high: float | None = None,
    **settings: Any,
) -> FoundRate:
    """Find the learning rate for data, a network and a strategy.

    Args:
        data: As for :func:`skipwise.train`.
        network: Chosen by the data if None.
        strategy: Chosen by the task if None; its rate is what is looked for.
        search: How much is tried, as a whole, in place of the four that follow: a
            :class:`skipwise.tuning.Search`.
        seeds: So many range tests, and runs at each rate; three if None.
        steps: Updates of each of them; a hundred if None.
        low: Lowest rate of the range tests; 1e-6 if None.
        high: Highest; 10 if None.
        **settings: Other fields of :class:`skipwise.Experiment`, ``batch_size`` for example.

    Raises:
        TypeError: If ``search`` is given and one of its parts too.
    """
    parts = {"seeds": seeds, "steps": steps, "low": low, "high": high}
    wanted = amount_of(Search, "search", search, **parts)
    return rate_of(*compose(data, network, strategy, **settings), wanted)


def rate_of(
    experiment: Experiment,
    dataset: Dataset,
    search: Search,
    tell: Tell = lambda sentence: None,
) -> FoundRate:
    """Find the learning rate of an experiment.

    Args:
        experiment: What is run; its rate and length play no role.
        dataset: Its data, loaded.
        search: How much is tried.
        tell: Is told what goes on.

    Raises:
        ValueError: If the rule has no rate to look for, or parts of a network that begins anew are
            to be frozen.
        NothingFound: If the loss does not fall within the range, or all short runs diverge.
    """
    check_freeze(experiment.freeze, experiment.weights)
    check_rate_is_theirs(experiment.strategy)
    began, count = time.perf_counter(), search.seeds
    tell(
        f"{count} range tests of at most {search.steps} updates, then {5 * count} or more runs of"
        f" {search.steps}"
    )
    seeds = range(experiment.seed, experiment.seed + count)
    sweeps = [_swept(experiment, dataset, search, seed, tell) for seed in seeds]
    tried = climb(
        beginning(sweeps), lambda rate: _tried(experiment, dataset, search, rate, seeds, tell)
    )
    scores = scores_of(tried)
    low, high = interval(scores)
    rate = middle(alike(scores))
    return FoundRate(
        data=experiment.data.name,
        network=experiment.network.name,
        strategy=experiment.strategy.name,
        rate=rate,
        low=low,
        high=max(rate, min(high, *(found.limit for found in sweeps))),
        sweeps=tuple(sweeps),
        trials=tuple(trial for rate in sorted(tried) for trial in tried[rate]),
        scored_by=_scored_by(dataset),
        seconds=time.perf_counter() - began,
        notes=tuple(_notes(sweeps, scores, rate, experiment, dataset)),
    )


def _scored_by(dataset: Dataset) -> str:
    return "training loss" if dataset.validation is None else "validation loss"


def _tried(
    experiment: Experiment,
    dataset: Dataset,
    search: Search,
    rate: float,
    seeds: Iterable[int],
    tell: Tell,
) -> list[Trial]:
    trials = [
        short_run(experiment, dataset, rate=rate, seed=seed, steps=search.steps) for seed in seeds
    ]
    score = np.mean([trial.score for trial in trials])
    tell(f"rate {rate:g}: {_scored_by(dataset)} {score:.4g}")
    return trials


def _swept(
    experiment: Experiment,
    dataset: Dataset,
    search: Search,
    seed: int,
    tell: Tell,
) -> Sweep:
    found = sweep(
        experiment, dataset, low=search.low, high=search.high, steps=search.steps, seed=seed
    )
    beyond = f" and explodes at {found.limit:.2g}" if found.exploded else ""
    tell(f"range test, seed {seed}: the loss turns at {found.turn:.2g}{beyond}")
    return found


def beginning(sweeps: Sequence[Sweep]) -> float:
    """Give the rate to begin the short runs with: the geometric mean of the turns.

    Raises:
        NothingFound: If the loss of a range test was least at its first rates.
    """
    for found in sweeps:
        lowest = found.rates[0]
        if found.turn <= 2 * lowest:
            raise NothingFound(
                f"with seed {found.seed} the loss does not fall at rates from {lowest:g} on",
                low=tidy(lowest / LOWER),
            )
    return statistics.geometric_mean(found.turn for found in sweeps)


def _notes(
    sweeps: list[Sweep],
    scores: dict[float, list[float]],
    rate: float,
    experiment: Experiment,
    dataset: Dataset,
) -> Iterator[str]:
    best = best_of(scores)
    if best in (min(scores), max(scores)):
        which = "lowest" if best == min(scores) else "highest"
        yield f"The best tried, {best:g}, was the {which}, so a {which[:-3]}er one may be better."
    if not all(sweep.exploded for sweep in sweeps):
        yield "The loss did not explode within the range: what normalises hides too high rates."
    if dataset.validation is None:
        yield "There is no validation part, so the runs were compared by their training loss."
    stated = replace(experiment.strategy, peak_lr=rate)
    size = min(experiment.batch_size, len(dataset.train))
    # Of a rate that no rule scales there is nothing to say: it was found with these batches.
    for note in () if stated.rate_rule == "none" else rate_notes(stated, size):
        yield f"{note[:1].upper()}{note[1:]}."
