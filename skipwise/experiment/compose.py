"""From what a user gives to an experiment and its data, loaded."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from skipwise.data import (
    Data,
    Dataset,
    described,
    find_augmentation,
    find_views,
    without_objects,
)
from skipwise.defaults import check_kinds, complete
from skipwise.description import Call, check_written, fitted, nearest, read_described
from skipwise.experiment.experiment import Experiment
from skipwise.finetuning import settle
from skipwise.networks import NetworkDescription
from skipwise.strategies import Strategy
from skipwise.training import choose_device

LENGTHS = ("epochs", "steps", "seconds")
# Of the command line and of other libraries, whose field is called otherwise.
OPTIONS = {
    "time": "seconds",
    "tune": "trials",
    "memory": "memory_bytes",
    "lr": "peak_lr",
    "learning_rate": "peak_lr",
}
ELSEWHERE = {
    "set": "name the field itself, or change what holds it with dataclasses.replace",
    "recipe": "a recipe stands in the place of data: skipwise.recipes.cifar10(data) for example",
    "transfer_from": "skipwise.transfer(run, network).strategy is the strategy of a run",
    "no_report": "it is report=False",
}
OF_STRATEGY = {field.name: "…" for field in dataclasses.fields(Strategy)}
OF_STRATEGY |= {"guard": "skipwise.strategies.Guard()"}
OF_PICTURES = ("size", "memory_bytes", "multi_label", "skip_bad")


def compose(
    data: Experiment | Data | str | Any,
    network: NetworkDescription | Call | Callable[..., nn.Module] | None = None,
    strategy: Strategy | None = None,
    *,
    allow: Iterable[str] = (),
    **settings: Any,
) -> tuple[Experiment, Dataset]:
    """Make an experiment from what a user gives, with defaults for the rest, and load its data.

    Args:
        data: A description, a word as on the command line, arrays ``(x, y)``, or a map-style data
            set of the user's own, or parts of these by name, see :class:`skipwise.data.Own`; or a
            whole experiment, or the path of its YAML, which all else changes.
        network: A description, or a function that makes a module; chosen by the data if None.
        strategy: Chosen by the task if None: see :mod:`skipwise.defaults`.
        allow: Packages outside ``skipwise`` that a YAML file, or the card of a file of weights, may
            name.
        **settings: Other fields of :class:`Experiment`, augmentation and views also in the
            command line's words; see :mod:`skipwise.defaults` for what stands in for those that are
            not given. With ``weights`` the file decides the network, if none is given, and the
            preprocessing.

    Raises:
        TypeError: If ``network`` or ``strategy`` is of another kind, or a setting is unknown.
        ValueError: If something in them is, or could not be found again when the run is opened.
    """
    check_kinds(None, strategy)
    network, given = described_network(network), checked(settings)
    check_written({"strategy": strategy, **given}, "the experiment")
    choose_device()  # one that is not here is said before the data are read
    begun = opened(data, allow=allow)
    if isinstance(begun, Experiment):
        named = {"network": network, "strategy": strategy}
        given |= {name: value for name, value in named.items() if value is not None}
        return _changed(begun, given, allow)
    check_written({"data": without_objects(begun)}, "the experiment")
    dataset = begun.load()
    if (path := given.get("weights")) is not None:
        network, given["preprocessing"] = settle(path, dataset, network, allow=allow)
        given["weights"] = str(Path(path).absolute())
    chosen = {"network": network, "strategy": strategy, **given}
    return Experiment(data=begun, **complete(dataset, chosen)), dataset


def opened(data: Any, *, allow: Iterable[str] = ()) -> Experiment | Data:
    """Give the experiment that was given, or that a YAML file holds; of anything else the data.

    Raises:
        ValueError: If the file holds none, or there are no such data.
    """
    is_file = isinstance(data, str | Path) and str(data).endswith((".yaml", ".yml"))
    found = read_described(Path(data), Experiment, allow=allow) if is_file else data
    return found if isinstance(found, Experiment) else described(found)


def _changed(
    begun: Experiment, given: dict[str, Any], allow: Iterable[str]
) -> tuple[Experiment, Dataset]:
    lengths = {name: given.pop(name, None) for name in LENGTHS}
    source = described(begun.data)
    experiment = dataclasses.replace(extended(begun, **lengths), data=source, **given)
    named = dataclasses.replace(experiment, data=without_objects(source))
    check_written(named, "the experiment")
    dataset = source.load()
    if {"weights", "network"} & given.keys():  # the file decides what was not named anew
        return settled(experiment, dataset, given.get("network"), allow=allow), dataset
    if experiment.preprocessing is None:
        experiment = settled(experiment, dataset, experiment.network, allow=allow)
    return experiment, dataset


def described_network(network: Any) -> NetworkDescription | Call | None:
    """Give the description of a network: itself, or the call of a function of the user's own.

    Raises:
        TypeError: If it is neither.
        ValueError: If something in it is of another kind, or it could not be found again.
    """
    check_kinds(network, None)
    if not (network is None or isinstance(network, NetworkDescription | Call)):
        network = Call(target=f"{network.__module__}:{network.__qualname__}")
    check_written({"network": network}, "the experiment")
    return network


def checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Read fields of an experiment, words as on the command line among them; None is not given.

    Raises:
        TypeError: If there is no such field.
        ValueError: If a value is of another type, or a word means nothing.
    """
    known = [entry.name for entry in dataclasses.fields(Experiment)]
    for name in settings:
        if name not in known:
            raise TypeError(f"an experiment has no setting {name!r}{nearest_setting(name, known)}")
    words = {"augmentation": find_augmentation, "views": find_views, "weights": str}
    given = {name: value for name, value in settings.items() if value is not None}
    read = {name: words[name](v) if name in words else v for name, v in given.items()}
    return {name: fitted(Experiment, name, value) for name, value in read.items()}


def nearest_setting(name: str, known: Sequence[str]) -> str:
    """Say which setting is meant, or where what is no setting here has its place."""
    meant = OPTIONS.get(name, name)
    if meant in known:
        return nearest(meant, known)
    if meant in OF_STRATEGY and "set" in known:
        return f"; it is of the strategy: set={{'strategy.{meant}': …}}"
    if meant in OF_STRATEGY:
        given = f"{meant}={OF_STRATEGY[meant]}"
        return f"; it is of the strategy: dataclasses.replace(skipwise.momentum(), {given})"
    if meant in OF_PICTURES:
        return f"; it is of the data: skipwise.Folder(path=…, {meant}=…)"
    return f"; {ELSEWHERE[name]}" if name in ELSEWHERE else nearest(name, known)


def settled(
    experiment: Experiment,
    dataset: Dataset,
    network: NetworkDescription | Call | None,
    *,
    allow: Iterable[str] = (),
) -> Experiment:
    """Settle what follows from its file of weights, if any: see :func:`finetuning.settle`."""
    if experiment.weights is None:
        return experiment
    network, used = settle(experiment.weights, dataset, network, allow=allow)
    whole = str(Path(experiment.weights).absolute())
    return dataclasses.replace(experiment, network=network, preprocessing=used, weights=whole)


def extended(experiment: Experiment, **length: float | None) -> Experiment:
    """Give the experiment another length, if one is given."""
    given = {name: value for name, value in length.items() if value is not None}
    if not given:
        return experiment
    return dataclasses.replace(experiment, **{**dict.fromkeys(LENGTHS), **given})
