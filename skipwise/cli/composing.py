"""From what ``train`` was told to an experiment and its data."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skipwise.cli.words import (
    apply_settings,
    find_network,
    find_recipe,
    find_strategy,
    weights_among,
)
from skipwise.data import Data, Dataset, Gallery, find_data
from skipwise.description import read_described
from skipwise.experiment import Experiment, checked, compose, extended, settled
from skipwise.strategies import Guard

Given = Mapping[str, Any]  # None is not given


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The words that name descriptions.

    Args:
        network: A name, or a function of the user's own.
        strategy: A name.
        recipe: A name.
        settings: ``path=value``.
        allow: Packages that a file may name.
        guard: Whether the strategy is to have a guard.
    """

    network: str | None
    strategy: str | None
    recipe: str | None
    settings: tuple[str, ...]
    allow: tuple[str, ...]
    guard: bool = False


def composed(
    data: str, chosen: Chosen, *, length: Given, others: Given, of_data: Given
) -> tuple[Experiment, Dataset]:
    """Make the experiment: from a file or a recipe and what changes it, or from defaults.

    Args:
        data: The first word.
        chosen: The words that name descriptions.
        length: ``epochs``, ``steps`` or ``seconds``.
        others: Other fields of the experiment.
        of_data: Fields of a source of picture files.

    Raises:
        ValueError: If two of them contradict each other, or one has no effect.
    """
    file, settings = weights_among(chosen.settings)
    others = {**others, "weights": file or others.get("weights")}
    given = checked(others)
    network = None if chosen.network is None else find_network(chosen.network)
    strategy = None if chosen.strategy is None else find_strategy(chosen.strategy)
    is_file = data.endswith((".yaml", ".yml"))
    if is_file and chosen.recipe is not None:
        raise ValueError(f"{data} is an experiment of its own; leave --recipe out")
    begun = read_described(Path(data), Experiment, allow=chosen.allow) if is_file else None
    described = find_data(data) if begun is None else begun.data
    described = with_settings(described, of_data, settings)
    if chosen.recipe is not None:
        begun = find_recipe(chosen.recipe)(described)
    if begun is None:
        experiment, dataset = compose(
            described, network, strategy, allow=chosen.allow, **length, **others
        )
    else:
        named = {"network": network, "strategy": strategy}
        given |= {name: value for name, value in named.items() if value is not None}
        experiment = dataclasses.replace(extended(begun, **length), data=described, **given)
        dataset = described.load()
        is_new = "weights" in given or network is not None
        if is_new or experiment.preprocessing is None:
            asked = network if is_new else experiment.network
            experiment = settled(experiment, dataset, asked, allow=chosen.allow)
    if chosen.guard and experiment.strategy.guard is None:
        guarded = dataclasses.replace(experiment.strategy, guard=Guard())
        experiment = dataclasses.replace(experiment, strategy=guarded)
    rest = [word for word in settings if not word.startswith("data.")]
    return apply_settings(experiment, rest), dataset


def with_settings(data: Data, flags: Given, settings: tuple[str, ...] = ()) -> Data:
    """Change a source by options of picture files and by ``data.path=value``.

    Raises:
        ValueError: If the source has no such field.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if given and not isinstance(data, Gallery):
        flag = next(iter(given)).removesuffix("_bytes").replace("_", "-")
        raise ValueError(
            f"--{flag} is for folders of pictures and tables of them; these data have no files"
        )
    if isinstance(data, Gallery):
        data = dataclasses.replace(data, **given)
    return apply_settings(
        data, [word.removeprefix("data.") for word in settings if word.startswith("data.")]
    )
