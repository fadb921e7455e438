"""A study: arms × seeds, complete, as it is declared before anything trains.

The arms are the product of networks, strategies and varied fields. All of them share the data, the
split, the budget and the seeds; the two runs of a seed are a pair.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skipwise.data import Data, without_objects
from skipwise.description import Call, check_written, packages_of, read_described, write_yaml
from skipwise.experiment import Experiment
from skipwise.networks import NetworkDescription
from skipwise.strategies import Strategy
from skipwise.studies.halving import LEAST

TUNERS = ("random", "optuna")

LENGTHS = ("epochs", "steps", "seconds", "target", "doublings", "patience")
COMMON = ("data", "seed", "metric", *LENGTHS)


@dataclass(frozen=True, kw_only=True)
class Study:
    """All that decides a study.

    Args:
        experiment: What all runs share: data with their split, length, batch and all else. Its
            network, strategy and seed are replaced by those of each run.
        networks: What learns.
        strategies: How.
        vary: Values by path, as in ``--set``: each multiplies the arms. A path behind the name of a
            network or a strategy and a colon varies these arms only.
        seeds: So many runs of each arm, with the seeds 0, 1, …
        baseline: The strategy, or the network, that the others are compared with; the first if
            None.
        family: Pairs of names of arms that get a verdict, the first against the second; None takes
            strategies against the baseline, residual networks against their plain twins, and varied
            values against the first.
        target: The score on validation data to which time is counted; it stops no run.
        margin: A difference that matters to nobody: in points where the score is a share, else in
            the unit of the score.
        trials: Of tuning, for each arm; the first is the strategy as it is named.
        tuner: How trials are chosen: ``"random"``, or ``"optuna"``.
        halving: Whether only the better half of an arm's trials goes on, again and again.
        ablate: Whether the arms are the strategies without, and with only, each of their parts.
    """

    experiment: Experiment
    networks: tuple[NetworkDescription | Call, ...]
    strategies: tuple[Strategy, ...]
    vary: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    seeds: int = 10
    baseline: str | None = None
    family: tuple[tuple[str, str], ...] | None = None
    target: float | None = None
    margin: float | None = None
    trials: int = 0
    tuner: str = "random"
    halving: bool = False
    ablate: bool = False

    def __post_init__(self):
        if self.seeds < 1:
            raise ValueError(f"a study needs at least 1 seed, got {self.seeds}")
        if self.trials < 0 or self.trials == 1:
            raise ValueError(
                f"tuning needs at least 2 trials an arm, or 0 for none; got {self.trials}, and the"
                " first is the strategy as it is named"
            )
        if self.tuner not in TUNERS:
            raise ValueError(f"tuner must be one of {', '.join(TUNERS)}, got {self.tuner!r}")
        if self.tuner != TUNERS[0] and not self.trials:
            raise ValueError(
                f"tuner {self.tuner!r} has no effect without tuning; say --tune TRIALS"
            )
        self._check_halving()
        if self.margin is not None and not self.margin > 0:
            raise ValueError(f"margin must be positive, got {self.margin}")
        self._check_arms()
        if self.experiment.target is not None:
            raise ValueError(
                "a run of a study stops at no target, or its length would differ; give the study"
                " the target"
            )

    def _check_halving(self):
        if self.halving and self.trials < LEAST:
            raise ValueError(
                f"halving needs at least {LEAST} trials an arm, got {self.trials}, as fewer leave"
                " nothing to halve; say --tune 8"
            )
        if self.halving and self.tuner != TUNERS[0]:
            raise ValueError(
                f"halving begins all trials together and {self.tuner} chooses each by the scores of"
                " those before, at their whole length; leave one of them out"
            )

    def _check_arms(self):
        if self.experiment.seed:
            raise ValueError("the runs of an arm have the seeds 0, 1, …; say how many with seeds")
        if not self.networks or not self.strategies:
            raise ValueError("a study needs at least one network and one strategy")
        if self.ablate and (len(self.networks) > 1 or len(self.strategies) > 1 or self.vary):
            raise ValueError("an ablation is of one strategy on one network, with nothing varied")
        for path, values in self.vary.items():
            if path.rpartition(":")[2].partition(".")[0] in COMMON:
                raise ValueError(
                    f"all arms share data, seeds and length, and one metric, so {path} cannot vary"
                )
            if not isinstance(values, tuple | list) or not values:
                raise ValueError(f"{path} varies over a list of values, got {values!r}")
            twice = [value for n, value in enumerate(values) if value in values[:n]]
            if twice:
                raise ValueError(f"{path} varies over {twice[0]} twice; give each value once")

    @property
    def data(self) -> Data:
        """What all arms learn from."""
        return self.experiment.data

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages of the user's own that it names."""
        shared = dataclasses.replace(self.experiment, data=without_objects(self.data))
        return packages_of([shared, self.networks, self.strategies])


def text_of(description: Any) -> str:
    """Write a study or an experiment as YAML; of data that were made in Python only the shares."""
    return write_yaml(_named(description))


def check_study(study: Study) -> None:
    """Refuse a study of which ``study.yaml`` could not be read again.

    Raises:
        ValueError: If a value is of another kind than its field, or a class is not found again.
    """
    check_written(_named(study), "the study")


def _named(description: Any) -> Any:
    is_study = isinstance(description, Study)
    experiment = description.experiment if is_study else description
    named = dataclasses.replace(experiment, data=without_objects(experiment.data))
    return dataclasses.replace(description, experiment=named) if is_study else named


def read_study(path: Path, *, allow: Iterable[str] = ()) -> Study:
    """Read ``study.yaml``.

    Args:
        path: The file.
        allow: Packages outside ``skipwise`` that may be imported.

    Raises:
        ValueError: If it is no study; the message names file, key and the nearest valid one.
    """
    return read_described(path, Study, allow=allow)
