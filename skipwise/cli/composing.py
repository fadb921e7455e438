"""From what ``train`` was told to an experiment and its data."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cyclopts import Parameter

from skipwise.cli.words import (
    Flag,
    Whole,
    apply_settings,
    find_network,
    find_recipe,
    find_strategy,
    parse_freeze,
    parse_memory,
    parse_size,
    weights_among,
)
from skipwise.data import Data, Dataset, Gallery
from skipwise.experiment import Experiment, compose, opened
from skipwise.strategies import Guard

Given = Mapping[str, Any]  # None is not given


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    """The options that ``train``, ``find-rate`` and ``compare`` share.

    Args:
        batch_size: Examples an update.
        augment: Changes of training pictures, in their order: pad-crop,flip,cutout,mixup (skipwise
            list augmentations), or none; what suits the data if left out.
        class_weights: Weigh rare classes more, so that all have the same share in the loss.
        weights: Begin from a file, .safetensors, .pth or .npz, of ours, torchvision, timm or
            akamaster, or from a run's folder; it decides the network, unless one is named.
        freeze: Keep the stem and so many blocks as they are, or trunk: all but the head.
            Lower rates by depth: --set strategy.layer_decay=0.8.
        size: Bring pictures to this size, 64 or 48x64 (height, width); if left out that of at least
            half of them, else the median of their shorter sides, at most 224.
        memory: Hold decoded pictures in memory up to so much, 4g if left out; a larger set is
            decoded by worker processes as it is used.
        multi_label: A picture may have many labels: folders like beach+sea, cells like beach;sea.
        skip_bad: Leave out pictures that cannot be read, and say which.
    """

    batch_size: Whole | None = None
    augment: str | None = None
    class_weights: Flag = False
    weights: str | None = None
    freeze: str | None = None
    size: str | None = None
    memory: str | None = None
    multi_label: Flag = False
    skip_bad: Flag = False

    @property
    def of_runs(self) -> dict[str, Any]:
        """Fields of an experiment."""
        return {
            "batch_size": self.batch_size,
            "augmentation": self.augment,
            "class_weights": self.class_weights or None,
            "weights": self.weights,
            "freeze": None if self.freeze is None else parse_freeze(self.freeze),
        }

    @property
    def of_data(self) -> Given:
        """Fields of a source of picture files."""
        return {
            "skip_bad": self.skip_bad or None,
            "multi_label": self.multi_label or None,
            "size": None if self.size is None else parse_size(self.size),
            "memory_bytes": None if self.memory is None else parse_memory(self.memory),
        }

    @property
    def words(self) -> dict[str, Any]:
        """The options as they were given."""
        return {f"--{k.replace('_', '-')}": v for k, v in dataclasses.asdict(self).items()}


NONE_GIVEN = Common()


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
    data: str, chosen: Chosen, common: Common, **fields: Any
) -> tuple[Experiment, Dataset]:
    """Make the experiment: from a file or a recipe and what changes it, or from defaults.

    Args:
        data: The first word.
        chosen: The words that name descriptions.
        common: Options of data and runs.
        **fields: Other fields of the experiment.

    Raises:
        ValueError: If two of them contradict each other, or one has no effect.
    """
    file, settings = weights_among(chosen.settings)
    given = {**common.of_runs, **fields}
    given["weights"] = file or given["weights"]
    network = None if chosen.network is None else find_network(chosen.network)
    strategy = None if chosen.strategy is None else find_strategy(chosen.strategy)
    begun = opened(data, allow=chosen.allow)
    source = begun.data if isinstance(begun, Experiment) else begun
    source = with_settings(source, common.of_data, settings)
    if isinstance(begun, Experiment):
        if chosen.recipe is not None:
            raise ValueError(f"{data} is an experiment of its own; leave --recipe out")
        source = dataclasses.replace(begun, data=source)
    elif chosen.recipe is not None:
        source = find_recipe(chosen.recipe)(source)
    experiment, dataset = compose(source, network, strategy, allow=chosen.allow, **given)
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
