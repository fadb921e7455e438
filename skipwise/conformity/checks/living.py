"""Every hyper-parameter is alive: changing it changes what happens."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skipwise.conformity.changing import allowed_variants, paths
from skipwise.conformity.outcome import Outcome, judged
from skipwise.conformity.rehearsal import BATCH, finish, rehearsal, weights_of
from skipwise.description import replace_at
from skipwise.strategies import Prodigy, Strategy

STEPS = 8
# What a field needs of others to be able to act.
TOGETHER: Mapping[str, Mapping[str, Any]] = {
    "rate_batch": {"rate_rule": "linear"},
    "schedule.decay": {"schedule.milestones": (0.5,)},
    "optimiser.decoupled": {"weight_decay": 0.1},
    "decay_factors": {"weight_decay": 0.1},
}
# Likewise within a transform: its settling is longer than these runs.
OF_TRANSFORMS: Mapping[str, Mapping[str, Any]] = {
    "memory": {"settling": 2},
    "threshold": {"settling": 2, "memory": 0.5},
}
# Likewise of Prodigy, whose d grows in so few steps if its coefficient makes up for a low rate.
OF_ESTIMATES = ("coefficient", "safeguarded")


def hyperparameters_are_alive(strategy: Strategy) -> Outcome:
    """Each field of the strategy, its rule and its schedule, changed, changes the weights.

    Another value is taken from the field's type and from what its checks let pass: first one that
    is a little different, then others, since some fields act only beyond a threshold. A field that
    its checks hold to the value it has, since it could not take effect, is not dead.
    """
    usual = _trajectory(strategy)
    if not np.array_equal(usual, _trajectory(strategy)):
        return judged(False, "two runs of the same strategy differ")
    dead, held, tried = [], [], 0
    for path, values in paths(strategy):
        base = _together(strategy, _needs(strategy, path))
        before = usual if base == strategy else _trajectory(base)
        others = filter(_can_be_built, allowed_variants(base, path, values))
        acts = (not np.array_equal(before, _trajectory(other)) for other in others)
        first = next(acts, None)
        if first is None:
            held.append(path)
            continue
        tried += 1
        if not first and not any(acts):
            dead.append(path)
    if dead:
        return judged(False, f"nothing changes with {', '.join(dead)}", tried=tried, dead=len(dead))
    words = f"each of {tried} fields changes the weights"
    words += f"; {', '.join(held)} could not take effect and may not be set" if held else ""
    return judged(True, words, tried=tried, dead=0)


def _needs(strategy: Strategy, path: str) -> Mapping[str, Any]:
    """Give what a field needs of others, by their paths."""
    owner, _, name = path.rpartition(".")
    if owner.startswith("gradient."):
        return {f"{owner}.{other}": value for other, value in OF_TRANSFORMS.get(name, {}).items()}
    if name in OF_ESTIMATES and any(isinstance(r, Prodigy) for r in strategy.optimiser.rules):
        return {f"{owner}.coefficient": strategy.for_batches(BATCH).peak_lr ** -2}
    return TOGETHER.get(path, {})


def _together(strategy: Strategy, needs: Mapping[str, Any]) -> Strategy:
    found = strategy
    try:
        for path, value in needs.items():
            found = replace_at(found, path, value)
        _built(found)
    except ValueError:
        return strategy  # the field is held to its value
    return found


def _can_be_built(strategy: Strategy) -> bool:
    try:
        _built(strategy)
    except ValueError:
        return False
    return True


def _built(strategy: Strategy) -> None:
    rehearsal(strategy, steps=1)


def _trajectory(strategy: Strategy) -> np.ndarray:
    run = finish(rehearsal(strategy, steps=STEPS, exact_loss=False))
    models = (run.model, run.evaluated())
    return np.concatenate([w.ravel() for model in models for w in weights_of(model).values()])
