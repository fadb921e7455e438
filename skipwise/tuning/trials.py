"""Short runs of an experiment at other rates, seeds and lengths: in memory, without a folder.

Each is built anew from its description, and a module that a user's function hands out twice gets
its state back, so that nothing of the caller's changes: no parameter, no statistic, no random
number.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from torch import nn

from skipwise.data import Dataset
from skipwise.description import fitted
from skipwise.experiment import Experiment, build, extended
from skipwise.finetuning import prepared
from skipwise.strategies import Strategy
from skipwise.tasks import Task
from skipwise.training import Diverged, Run, evaluate, train

Amount = TypeVar("Amount")  # a Search or a Check
SELF_TUNED = {"LBFGS", "Prodigy"}
END = 0.2  # share of a run whose mean loss is the loss at its end


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A short run and what it came to.

    Args:
        rate: Its ``peak_lr``.
        seed: Its seed.
        losses: Of the batches, before each update; the last is not finite if it diverged.
        validation: Metrics on the validation part at the end; empty without one, or if it diverged.
    """

    rate: float
    seed: int
    losses: tuple[float, ...]
    validation: Mapping[str, float] = field(default_factory=dict)

    @property
    def diverged(self) -> bool:
        """Whether it ended in a loss that is not finite."""
        return not math.isfinite(self.losses[-1])

    @property
    def end_loss(self) -> float:
        """Mean training loss over the last fifth of the run; infinite if it diverged."""
        last = self.losses[-max(round(END * len(self.losses)), 1) :]
        return math.inf if self.diverged else sum(last) / len(last)

    @property
    def score(self) -> float:
        """What trials are chosen by: validation loss, else training loss; lower is better."""
        found = self.end_loss if self.diverged else self.validation.get("loss", self.end_loss)
        return found if math.isfinite(found) else math.inf


def amount_of(kind: type[Amount], name: str, whole: Amount | None, **parts: Any) -> Amount:
    """Give how much is measured, as a whole or by its parts that are not None.

    Raises:
        TypeError: If both are given, or the whole is of another kind.
        ValueError: If a part is.
    """
    given = {part: fitted(kind, part, v) for part, v in parts.items() if v is not None}
    if whole is None:
        return kind(**given)
    if not isinstance(whole, kind):
        raise TypeError(
            f"{name} must be a skipwise.tuning.{kind.__name__}, got {type(whole).__name__}; leave"
            f" it out, and give {', '.join(parts)}"
        )
    if given:
        raise TypeError(f"{name} says how much is tried already; leave {', '.join(given)} out")
    return whole


def short_run(
    experiment: Experiment, dataset: Dataset, *, rate: float, seed: int, steps: int
) -> Trial:
    """Train the experiment for so many updates under its own schedule, and evaluate it.

    Args:
        experiment: What is run; its length, rate and seed are replaced.
        dataset: Its data, loaded.
        rate: Learning rate at the top of the schedule.
        seed: Of the run.
        steps: Its length.
    """
    strategy = replace(experiment.strategy, peak_lr=rate)
    with begun(replace(experiment, strategy=strategy), dataset, seed, steps) as (run, task):
        losses = tuple(losses_of(run))
        finite = math.isfinite(losses[-1]) and run.is_finite()
        validation = _validated(run, task, experiment, dataset) if finite else {}
        losses = losses if finite else (*losses[:-1], math.nan)
    return Trial(rate=rate, seed=seed, losses=losses, validation=validation)


@contextmanager
def begun(
    experiment: Experiment, dataset: Dataset, seed: int, steps: int
) -> Iterator[tuple[Run, Task]]:
    """Build a short run of an experiment, and give back all that it changes when it is over."""
    # A guard would lower the rate that is asked about.
    strategy = replace(experiment.strategy, guard=None)
    short = replace(extended(experiment, steps=steps), strategy=strategy)
    short = replace(short, seed=seed, target=None, doublings=0, shard=False, sync_norms=False)
    run, task = build(short, dataset)
    with _untouched(run.model), closing(run.batches):
        yield run, task


def losses_of(run: Run) -> Iterator[float]:
    """Train, and yield the loss of each batch up to the first that is not finite."""
    try:
        for step in train(run):
            loss = float(step.loss)
            yield loss
            if not math.isfinite(loss):
                return
    except Diverged:
        yield math.nan


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    kept = {name: value.detach().clone() for name, value in model.state_dict().items()}
    was_training = {part: part.training for part in model.modules()}
    try:
        yield
    finally:
        model.load_state_dict(kept)
        model.zero_grad(set_to_none=True)
        for part, mode in was_training.items():
            part.training = mode


def _validated(
    run: Run, task: Task, experiment: Experiment, dataset: Dataset
) -> Mapping[str, float]:
    if dataset.validation is None:
        return {}
    used = prepared(dataset, experiment.preprocessing)
    record = evaluate(
        run.evaluated(),
        dataset.validation,
        used.preprocessing,
        task,
        part="validation",
        step=run.step,
        autocast=run.autocast,
        views=experiment.views,
    )
    return record.metrics


class SelfTuned(ValueError):
    """A rule finds the size of its steps itself."""


def check_rate_is_theirs(strategy: Strategy) -> None:
    """Refuse a rule that finds the size of its steps itself: there is no rate to look for.

    Raises:
        SelfTuned: If the rule, or one that it wraps, is such a rule.
    """
    kinds = (kind for rule in strategy.optimiser.rules for kind in type(rule).__mro__)
    for name in (kind.__name__ for kind in kinds):
        if name in SELF_TUNED:
            raise SelfTuned(
                f"{name} finds the size of its steps itself, so there is no rate to look for;"
                " choose another strategy, or train with it as it is"
            )
