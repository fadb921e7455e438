"""Every hyper-parameter is alive: changing it changes what happens."""

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np

from skipwise import strategies
from skipwise.conformity.outcome import Outcome, judged
from skipwise.conformity.rehearsal import finish, rehearsal, weights_of
from skipwise.description import replace_at
from skipwise.strategies import Strategy

STEPS = 8
EXEMPT = {"name": "a name"}


def hyperparameters_are_alive(strategy: Strategy) -> Outcome:
    """Each field of the strategy, its rule and its schedule, changed, changes the weights.

    Another value is taken from the field's type and from what its checks let pass: first one that
    is a little different, then others, since some fields act only beyond a threshold.
    """
    before = _trajectory(strategy)
    if not np.array_equal(before, _trajectory(strategy)):
        return judged(False, "two runs of the same strategy differ")
    dead, tried = [], 0
    for path, values in paths(strategy):
        found = list(_variants(strategy, path, values))
        tried += 1
        if all(np.array_equal(before, _trajectory(other)) for other in found):
            dead.append(path if found else f"{path} (no other value is allowed)")
    if dead:
        return judged(False, f"nothing changes with {', '.join(dead)}", tried=tried, dead=len(dead))
    return judged(True, f"each of {tried} fields changes the weights", tried=tried, dead=0)


def _trajectory(strategy: Strategy) -> np.ndarray:
    run = finish(rehearsal(strategy, steps=STEPS, exact_loss=False))
    models = (run.model, run.chosen)
    return np.concatenate([w.ravel() for model in models for w in weights_of(model).values()])


def paths(description: Any, prefix: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield the path of every field, within descriptions too, and other values for it."""
    hints = typing.get_type_hints(type(description))
    for entry in dataclasses.fields(description):
        value, path = getattr(description, entry.name), f"{prefix}{entry.name}"
        if not entry.init or entry.name in EXEMPT:
            continue
        if dataclasses.is_dataclass(value):
            yield from paths(value, f"{path}.")
        else:
            yield path, other_values(value, hints[entry.name])


def other_values(value: Any, hint: Any = None) -> list[Any]:
    """Give values of the same type to try, the nearest first."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, 2, 1, 3, value * 2]
    if isinstance(value, float):
        near = [value * 1.1, value * 0.9, value / 2, value * 2, value / 10, value * 10]
        return [v for v in (*near, 0.5, 0.1, 0.3, 0.9, 1.0, 0.0) if v != value]
    if isinstance(value, tuple):
        return [
            (*value[:n], other, *value[n + 1 :])
            for n, member in enumerate(value)
            for other in other_values(member)
        ]
    return _of_hint(value, hint)


def _of_hint(value: Any, hint: Any) -> list[Any]:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    found: list[Any] = []
    for kind in kinds:
        if typing.get_origin(kind) is typing.Literal:
            found += [word for word in typing.get_args(kind) if word != value]
        elif kind is float:
            found += [0.1, 0.5, 1.0, 1e-3, 2.0]
        elif kind is int:
            found += [1, 2, 3]
        elif isinstance(kind, type) and value is None:
            found += _members(kind)
    return found


def _members(kind: type) -> list[Any]:
    """Give one of each description of a kind that can be made without arguments."""
    found = []
    for name in strategies.__all__:
        member = vars(strategies)[name]
        if isinstance(member, type) and issubclass(member, kind) and member is not kind:
            try:
                found.append(member())
            except TypeError:
                continue
    return found


def _variants(strategy: Strategy, path: str, values: list[Any]) -> Iterator[Strategy]:
    for value in values:
        try:
            yield replace_at(strategy, path, value)
        except ValueError:
            continue  # the field's own check refuses it
