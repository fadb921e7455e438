"""A network that has not been trained yet, with data, as a patient."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from skipwise.analysis import weights_of
from skipwise.description import Call
from skipwise.diagnosing.patient import Patient, patient_of
from skipwise.experiment import build, compose
from skipwise.finetuning import prepared
from skipwise.networks import NetworkDescription
from skipwise.strategies import Strategy


@contextmanager
def patient_of_network(
    network: NetworkDescription | Call,
    data: Any,
    strategy: Strategy | None = None,
    *,
    allow: Iterable[str] = (),
    **settings: Any,
) -> Iterator[Patient]:
    """Build a network as a run would at its first step.

    A function of a user's own may hand out weights that were trained elsewhere, so of these it is
    not said what they began from.

    Args:
        network: Its description, or a function that makes it.
        data: A description, a word as on the command line, a map-style data set, or arrays.
        strategy: How it is to be trained; chosen by the task if None.
        allow: Packages outside ``skipwise`` that a description may name.
        **settings: Other fields of :class:`skipwise.Experiment`, ``batch_size`` for example.

    Raises:
        ValueError: If the parts do not go together.
    """
    experiment, dataset = compose(data, network, strategy, allow=allow, **settings)
    run, task = build(experiment, dataset)
    for group in run.optimiser.param_groups:
        group["lr"] = first_rate(run.strategy, run.steps) * group.get("factor", 1.0)
    dataset = prepared(dataset, experiment.preprocessing)
    with patient_of(
        run,
        task,
        dataset,
        experiment,
        name=f"{experiment.network.name} on {dataset.name},"
        f" {'as it was made' if isinstance(network, Call) else 'before training'}",
        start=None if isinstance(network, Call) else weights_of(run.model),
        facts={"weights": "as they are before the first update"},
    ) as patient:
        yield patient


def first_rate(strategy: Strategy, steps: int) -> float:
    """Give the rate of the first update that is worth judging.

    Under a schedule that begins near zero the first updates say nothing of the rate that was
    chosen, so it is the first of at least a tenth of the highest.
    """
    rates = (strategy.rate(step, steps) for step in range(steps))
    return next((rate for rate in rates if rate >= 0.1 * strategy.peak_lr), strategy.peak_lr)
