"""Tuning: the same number of trials for every arm, over rate and decay, on validation.

Trials have a seed of their own, which no run of the study has, and never see the test part. The
first is the strategy as it is named, so tuning can only find better by validation; the others are
drawn log-uniformly within a factor of ten on either side, at the same places for every arm. They
may be halved within each arm (:mod:`skipwise.studies.halving`).
"""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from skipwise.files import write_atomic
from skipwise.records import finite
from skipwise.strategies import Strategy
from skipwise.studies.arms import Arm
from skipwise.studies.halving import going_on, lengths, shares, sizes
from skipwise.studies.launchers import Outcome, Task, mark_of
from skipwise.studies.plan import Plan

TUNING, FOLDER = "tuning.json", "tuning"
SEED = 1_000_000  # of all trials; the seeds of the runs are 0, 1, …
REACH = 10.0  # a named value is tried from a tenth to ten times
EDGE = 0.1  # of the logarithmic width, at either end
FIELDS = {"rate": "peak_lr", "decay": "weight_decay"}


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One trial: what was set, and how it ended.

    ``score`` is that on validation, None if it diverged or failed; ``until`` is the share of its
    length to which it was to train, less than 1 where it was halved away.
    """

    arm: str
    settings: Mapping[str, float]
    score: float | None
    state: str
    steps: int
    seconds: float
    folder: str
    until: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What the tuning of an arm found: the best trial, and what of it lies at the edge."""

    arm: str
    settings: Mapping[str, float]
    edge: tuple[str, ...]


Space = dict[str, tuple[float, float]]  # the least and the most of each setting


def space_of(arm: Arm) -> Space:
    """Give what is tuned of an arm, and between which ends: a factor of ten around what is named.

    A decay of zero stays zero, and what the study varies is not tuned.

    Raises:
        ValueError: If nothing is left.
    """
    strategy = arm.experiment.strategy
    named = {name: getattr(strategy, entry) for name, entry in FIELDS.items()}
    varied = {path.removeprefix("strategy.") for path in arm.settings}
    space = {
        name: (value / REACH, value * REACH)
        for name, value in named.items()
        if value > 0 and FIELDS[name] not in varied
    }
    if not space:
        raise ValueError(f"nothing of {arm.name} is left to tune, as its rate is varied")
    return space


def proposal(
    tuner: str, space: Space, named: Mapping[str, float], tried: Sequence[Tried], *, higher: bool
) -> dict[str, float]:
    """Give the settings of the next trial: a function of what was tried, and of nothing else.

    Args:
        tuner: ``"random"`` or ``"optuna"``.
        space: Ends of each setting.
        named: The values of the strategy, which come first.
        tried: The trials before, in their order.
        higher: Whether a high score is good.
    """
    if not tried:
        return {name: named[name] for name in space}
    if tuner == "optuna":
        return _by_optuna(space, tried, higher=higher)
    random = np.random.default_rng([SEED, len(tried)])
    drawn = dict(zip(FIELDS, random.random(len(FIELDS)), strict=True))
    return {name: low * (high / low) ** drawn[name] for name, (low, high) in space.items()}


def check_tuner(tuner: str) -> None:
    """Ask that what chooses the trials be there, before anything trains.

    Raises:
        ValueError: If Optuna is asked for and not installed.
    """
    if tuner == "optuna" and find_spec("optuna") is None:
        raise ValueError('Optuna is not installed; .venv/bin/pip install -e ".[tune]"')


def _by_optuna(space: Space, tried: Sequence[Tried], *, higher: bool) -> dict[str, float]:
    """Ask Optuna's tree-structured Parzen estimator, which is told all trials before."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ranges: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(low, high, log=True)
        for name, (low, high) in space.items()
    }
    study = optuna.create_study(
        direction="maximize" if higher else "minimize",
        # Another seed for each trial: the sampler is made anew and would draw the same again.
        sampler=optuna.samplers.TPESampler(seed=SEED + len(tried), n_startup_trials=4),
    )
    ended = [trial.score for trial in tried if trial.score is not None]
    worst = (min if higher else max)(ended, default=0.0)
    for trial in tried:
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(trial.settings),
                distributions=ranges,
                value=worst if trial.score is None else trial.score,
            )
        )
    return dict(study.ask(ranges).params)


def at_edge(space: Space, settings: Mapping[str, float]) -> tuple[str, ...]:
    """Name the settings within a tenth of the logarithmic width of an end: better may lie beyond.

    >>> at_edge({"rate": (0.01, 1.0), "decay": (1e-4, 1e-2)}, {"rate": 0.9, "decay": 1e-3})
    ('rate',)
    """
    places = {
        name: math.log(settings[name] / low) / math.log(high / low)
        for name, (low, high) in space.items()
    }
    return tuple(name for name, place in places.items() if not EDGE <= place <= 1 - EDGE)


def with_settings(arm: Arm, settings: Mapping[str, float]) -> Arm:
    """Give the arm with other values in its strategy."""
    strategy = _set(arm.experiment.strategy, settings)
    return dataclasses.replace(
        arm, experiment=dataclasses.replace(arm.experiment, strategy=strategy)
    )


def _set(strategy: Strategy, settings: Mapping[str, float]) -> Strategy:
    return dataclasses.replace(
        strategy, **{FIELDS[name]: float(value) for name, value in settings.items()}
    )


def rounds(plan: Plan, tried: dict[str, list[Tried]]) -> Iterator[list[Task]]:
    """Yield trials that can be done at the same time, until every arm has had its number.

    What came of them must stand in their folders when the next are asked for; it is added to
    ``tried``. Random trials do not depend on each other and come all at once.

    Args:
        plan: The study.
        tried: By arm; empty at first.

    Raises:
        ValueError: If nothing of an arm can be tuned.
    """
    tried.update({arm.name: [] for arm in plan.arms})
    spaces = {arm.name: space_of(arm) for arm in plan.arms} if plan.study.trials else {}
    if plan.study.halving:
        yield from _rungs(plan, spaces, tried)
        return
    alone = plan.study.tuner == "random"
    while any(len(tried[arm.name]) < plan.study.trials for arm in plan.arms):
        count = plan.study.trials if alone else len(tried[plan.arms[0].name]) + 1
        asked: list[tuple[Arm, dict[str, float], Task]] = []
        for arm in plan.arms:
            known = list(tried[arm.name])
            while len(known) < count:
                settings = proposal(
                    plan.study.tuner, spaces[arm.name], _named(arm), known, higher=plan.higher
                )
                task = _trial(plan, arm, settings)
                asked.append((arm, settings, task))
                known.append(_tried(arm, settings, task, None))
        yield [task for _, _, task in asked]
        for arm, settings, task in asked:
            tried[arm.name].append(_tried(arm, settings, task, mark_of(Path(task.folder))))


def _rungs(
    plan: Plan, spaces: Mapping[str, Space], tried: dict[str, list[Tried]]
) -> Iterator[list[Task]]:
    """Yield the trials of each rung: all at first, then the better half of every arm's."""
    trials = plan.study.trials
    asked: dict[tuple[str, int], tuple[Arm, Task]] = {}
    for arm in plan.arms:
        for number in range(trials):
            settings = proposal(
                plan.study.tuner, spaces[arm.name], _named(arm), tried[arm.name], higher=plan.higher
            )
            task = _trial(plan, arm, settings)
            tried[arm.name].append(_tried(arm, settings, task, None))
            asked[arm.name, number] = arm, task
    for share, following in zip(shares(trials), (*sizes(trials)[1:], 0), strict=True):
        tasks = {key: dataclasses.replace(task, until=share) for key, (_, task) in asked.items()}
        yield list(tasks.values())
        for (name, number), task in tasks.items():
            mark = mark_of(Path(task.folder), share)
            settings = tried[name][number].settings
            tried[name][number] = _tried(asked[name, number][0], settings, task, mark)
        left = {arm.name: _left(tried[arm.name], share, following, plan) for arm in plan.arms}
        asked = {(name, n): found for (name, n), found in asked.items() if n in left[name]}


def _left(trials: Sequence[Tried], share: float, count: int, plan: Plan) -> tuple[int, ...]:
    scores = [trial.score if trial.until == share else None for trial in trials]
    return going_on(scores, count, higher=plan.higher)


def _named(arm: Arm) -> dict[str, float]:
    return {name: getattr(arm.experiment.strategy, field) for name, field in FIELDS.items()}


def _trial(plan: Plan, arm: Arm, settings: Mapping[str, float]) -> Task:
    experiment = with_settings(arm, settings).run(SEED)
    task = plan.task(arm, experiment, above=FOLDER, reports=False)
    return dataclasses.replace(task, is_trial=True)


def _tried(arm: Arm, settings: Mapping[str, float], task: Task, mark: Outcome | None) -> Tried:
    return Tried(
        arm=arm.name,
        settings=settings,
        score=None if mark is None else mark.score,
        state="missing" if mark is None else mark.state,
        steps=0 if mark is None else mark.steps,
        seconds=0.0 if mark is None else mark.seconds,
        folder=task.folder,
        until=task.until,
    )


def winners(plan: Plan, tried: Mapping[str, Sequence[Tried]]) -> dict[str, Tuned]:
    """Give the best trial of every arm by validation; of equals the first.

    Where trials were halved only those count that came furthest and have a score: a score at a
    part of the length says nothing beside one at the end.

    Raises:
        ValueError: If no trial of an arm ended with a score.
    """
    found = {}
    for arm in plan.arms:
        scored = [trial for trial in tried[arm.name] if trial.score is not None]
        if not scored:
            raise ValueError(
                f"no trial of {arm.name} ended with a score: "
                + "; ".join(dict.fromkeys(trial.state for trial in tried[arm.name]))
            )
        furthest = max(trial.until for trial in scored)
        scored = [trial for trial in scored if trial.until == furthest]
        sign = 1 if plan.higher else -1
        best = max(scored, key=lambda trial: sign * (trial.score or 0.0))
        edge = at_edge(space_of(arm), best.settings)
        found[arm.name] = Tuned(arm=arm.name, settings=best.settings, edge=edge)
    return found


def write_tuning(
    folder: Path, tried: Mapping[str, Sequence[Tried]], found: Mapping[str, Tuned]
) -> None:
    """Write what tuning tried and found, for a reader."""
    content: dict[str, Any] = {
        name: {**asdict(found[name]), "trials": [asdict(trial) for trial in trials]}
        for name, trials in tried.items()
    }
    text = json.dumps(finite(content), indent=1, ensure_ascii=False)
    write_atomic(folder / TUNING, text.encode())


def in_words(plan: Plan, tried: Mapping[str, Sequence[Tried]], found: Mapping[str, Tuned]) -> str:
    """Say what tuning found and what it cost, a line for each arm."""
    lines = []
    for arm in plan.arms:
        trials, best = tried[arm.name], found[arm.name]
        values = ", ".join(f"{name} {value:.3g}" for name, value in best.settings.items())
        edge = f"; the {' and the '.join(best.edge)} at the edge of the space" if best.edge else ""
        edge += "".join(f"; {name} is 0 and stays so" for name, v in _named(arm).items() if not v)
        halved = f", halved at {rungs_in_words(len(trials))}" if plan.study.halving else ""
        lines.append(f"tuned {arm.name}: {values} of {len(trials)} trials{halved}{edge}")
    everything = [trial for trials in tried.values() for trial in trials]
    lines.append(
        f"tuning cost {sum(t.steps for t in everything):,} steps,"
        f" {sum(t.seconds for t in everything):.0f} s of training, {len(everything)} trials in all"
    )
    return "\n".join(lines)


def rungs_in_words(trials: int) -> str:
    """Say at which parts of their length trials are halved."""
    return ", ".join(f"{share:.0%}" for share in shares(trials)[:-1]) + " of their length"


def cost_in_lengths(plan: Plan) -> float:
    """Give what the tuning of an arm costs, in lengths of a whole run."""
    return lengths(plan.study.trials) if plan.study.halving else float(plan.study.trials)
