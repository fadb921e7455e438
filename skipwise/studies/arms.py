"""The arms of a study, what they are called, and which pairs of them get a verdict."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from skipwise.connections import Plain
from skipwise.description import nearest, replace_all
from skipwise.experiment import Experiment
from skipwise.networks import ResNet
from skipwise.studies.ablation import FULL, NONE, ONLY, WITHOUT, Part, ablated
from skipwise.studies.study import Study

NETWORK, STRATEGY = "network", "strategy"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train.

    Args:
        name: What tables call it, unlike that of any other arm.
        experiment: The run with seed 0; the others have other seeds.
        place: Where it stands in the product: a word for network, strategy and each varied path.
        part: What it tells of the parts of a strategy, in an ablation.
    """

    name: str
    experiment: Experiment
    place: Mapping[str, str]
    part: Part | None = None

    @property
    def settings(self) -> dict[str, str]:
        """What is varied, in words."""
        return {k: v for k, v in self.place.items() if k not in (NETWORK, STRATEGY)}

    def run(self, seed: int) -> Experiment:
        """Give the experiment of one seed."""
        return dataclasses.replace(self.experiment, seed=seed)


def arms_of(study: Study) -> tuple[Arm, ...]:
    """Give the arms: networks × strategies × the values of every varied path.

    Raises:
        ValueError: If a path cannot be set, varies nothing, or two arms have one name.
    """
    arms: list[Arm] = []
    for network, (strategy, part) in product(study.networks, ablated(study)):
        base = dataclasses.replace(study.experiment, network=network, strategy=strategy)
        names = (network.name, strategy.name)
        paths = {path: values for path, values in study.vary.items() if _concerns(path, names)}
        for values in product(*paths.values()):
            chosen = dict(zip(paths, values, strict=True))
            place = {NETWORK: names[0], STRATEGY: names[1]}
            place |= {path.rpartition(":")[2]: word_of(value) for path, value in chosen.items()}
            arms.append(Arm(name="", experiment=_set(base, chosen), place=place, part=part))
    _check_paths(study)
    return _named(arms)


def _concerns(path: str, names: tuple[str, str]) -> bool:
    owner = path.rpartition(":")[0]
    return not owner or owner in names


def _check_paths(study: Study) -> None:
    """Ask that the name before a colon be one of the study's.

    Raises:
        ValueError: If it is not.
    """
    known = [thing.name for thing in (*study.networks, *study.strategies)]
    for path in study.vary:
        owner = path.rpartition(":")[0]
        if owner and owner not in known:
            raise ValueError(
                f"{path} varies arms of {owner!r}, which the study does not have"
                f"{nearest(owner, known)}"
            )


def _set(experiment: Experiment, values: Mapping[str, Any]) -> Experiment:
    return replace_all(experiment, {path.rpartition(":")[2]: v for path, v in values.items()})


def word_of(value: Any) -> str:
    """Write a value as names of arms do."""
    if isinstance(value, Mapping):
        return str(value.get("is", value)).rpartition(".")[2]
    if dataclasses.is_dataclass(value):
        return type(value).__name__
    return f"{value:g}" if isinstance(value, float) else str(value)


def _named(arms: list[Arm]) -> tuple[Arm, ...]:
    """Name each arm by the places in which the arms differ.

    Raises:
        ValueError: If two would be called alike.
    """
    keys = list(dict.fromkeys(key for arm in arms for key in arm.place))
    differ = [key for key in keys if len({arm.place.get(key) for arm in arms}) > 1] or [STRATEGY]
    last = Counter(key.rpartition(".")[2] for key in keys)

    def word(key: str, value: str) -> str:
        if key in (NETWORK, STRATEGY):
            return value
        short = key.rpartition(".")[2]
        return f"{short if last[short] == 1 else key}={value}"

    named = [
        dataclasses.replace(
            arm, name=" ".join(word(key, arm.place[key]) for key in differ if key in arm.place)
        )
        for arm in arms
    ]
    twice = [name for name, count in Counter(arm.name for arm in named).items() if count > 1]
    if twice:
        raise ValueError(
            f"two arms are called {twice[0]!r}; give each network and strategy once, and under a"
            " name of its own"
        )
    return tuple(named)


def family_of(study: Study, arms: tuple[Arm, ...]) -> tuple[tuple[str, str], ...]:
    """Give the pairs that get a verdict: those that the study declares, or the usual ones.

    Two arms are compared where they differ in one thing only: a strategy against the baseline, a
    residual network against its plain twin, a varied value against the first one. Where there is
    one strategy and nothing else to compare, the networks are compared with the first.

    Raises:
        ValueError: If the family or the baseline names what is not there.
    """
    names = [arm.name for arm in arms]
    if study.family is not None:
        for name in (name for pair in study.family for name in pair):
            if name not in names:
                raise ValueError(f"the family names no arm of the study{_meant(name, names)}")
        return tuple((first, second) for first, second in study.family)
    if study.ablate:
        return tuple(_of_ablation(arms))
    return tuple(dict.fromkeys((a.name, b.name) for a, b in _usual(study, arms)))


def _of_ablation(arms: tuple[Arm, ...]) -> Iterator[tuple[str, str]]:
    """Pair the strategy with itself without a part, and none of them with only one."""
    named = {arm.part.kind: arm.name for arm in arms if arm.part is not None}
    against = {WITHOUT: FULL, ONLY: NONE} if WITHOUT in named else {NONE: FULL}
    for arm in arms:
        if arm.part is not None and arm.part.kind in against:
            yield arm.name, named[against[arm.part.kind]]


def _meant(name: str, names: list[str]) -> str:
    return f": there is no {name!r}{nearest(name, names)}"


def _usual(study: Study, arms: tuple[Arm, ...]) -> Iterator[tuple[Arm, Arm]]:
    axis, baseline = _baseline(study)
    for arm, other in product(arms, arms):
        differ = _differences(arm, other)
        if len(differ) != 1:
            continue
        where = differ[0]
        if where == axis:
            if other.place[axis] == baseline:
                yield arm, other
        elif where == NETWORK:
            if _is_plain_twin(other, of=arm):
                yield arm, other
        elif where != STRATEGY and other.place[where] == _first(study, where, other):
            yield arm, other


def _differences(arm: Arm, other: Arm) -> list[str]:
    keys = dict.fromkeys([*arm.place, *other.place])
    return [key for key in keys if arm.place.get(key) != other.place.get(key)]


def _first(study: Study, path: str, arm: Arm) -> str:
    """Give the first value that is varied over at a path for the arm's network or strategy."""
    names = (arm.place[NETWORK], arm.place[STRATEGY])
    of_arm = (pair for pair in study.vary.items() if _concerns(pair[0], names))
    found = (values for key, values in of_arm if key.rpartition(":")[2] == path)
    return word_of(next(found)[0])


def _baseline(study: Study) -> tuple[str, str]:
    """Give the axis on which the baseline lies, and its name there.

    Raises:
        ValueError: If there is no such strategy or network.
    """
    known = {
        STRATEGY: [strategy.name for strategy in study.strategies],
        NETWORK: [network.name for network in study.networks],
    }
    if study.baseline is None:
        alone = len(known[STRATEGY]) == 1 and not study.vary and not _has_twins(study)
        axis = NETWORK if alone else STRATEGY
        return axis, known[axis][0]
    for axis, names in known.items():
        if study.baseline in names:
            return axis, study.baseline
    words = [*known[STRATEGY], *known[NETWORK]]
    raise ValueError(
        f"the baseline {study.baseline!r} is neither a strategy nor a network of the study"
        f"{nearest(study.baseline, words)}"
    )


def _has_twins(study: Study) -> bool:
    pairs = product(study.networks, study.networks)
    return any(_are_twins(network, plain) for network, plain in pairs)


def _is_plain_twin(plain: Arm, *, of: Arm) -> bool:
    return _are_twins(of.experiment.network, plain.experiment.network)


def _are_twins(network: Any, plain: Any) -> bool:
    """Whether the second is the first without its skips."""
    if not isinstance(network, ResNet) or not isinstance(plain, ResNet):
        return False
    if isinstance(network.connection, Plain) or not isinstance(plain.connection, Plain):
        return False
    same = dataclasses.replace(plain, name=network.name, connection=network.connection)
    return same == network
