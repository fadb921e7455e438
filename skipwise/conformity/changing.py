"""Other values for every field of a description, found from its type and its own checks."""

import collections.abc
import dataclasses
import re
import typing
from collections.abc import Iterator
from typing import Any

from skipwise import strategies
from skipwise.description import alternatives, hints_of, replace_at
from skipwise.strategies import Strategy

EXEMPT = {
    "name": "what tables and folders call it",
    "guard": "acts on steps that explode alone; the check of NaN tries it",
}


def paths(description: Any, prefix: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield the path of every field, within descriptions too, and other values for it."""
    hints = hints_of(type(description))
    for entry in dataclasses.fields(description):
        value, path = getattr(description, entry.name), f"{prefix}{entry.name}"
        if not entry.init or entry.name in EXEMPT:
            continue
        if dataclasses.is_dataclass(value):
            yield from paths(value, f"{path}.")
        elif isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)):
            for number, member in enumerate(value):
                yield from paths(member, f"{path}.{number}.")
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
    if value == () and typing.get_args(hint):
        return [(member,) for member in _members(typing.get_args(hint)[0])]
    if isinstance(value, tuple):
        return [
            (*value[:n], other, *value[n + 1 :])
            for n, member in enumerate(value)
            for other in other_values(member)
        ]
    return _of_hint(value, hint)


def _of_hint(value: Any, hint: Any) -> list[Any]:
    if typing.get_origin(hint) is collections.abc.Mapping:
        return [{**value, role: 0.5} for role in strategies.ROLES if role not in value]
    found: list[Any] = []
    for kind in alternatives(hint):
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
        if isinstance(member, type) and issubclass(member, kind):
            try:
                found.append(member())
            except TypeError:
                continue
    return found


def allowed_variants(strategy: Strategy, path: str, values: list[Any]) -> Iterator[Strategy]:
    """Yield the strategies with another value at ``path`` that its own checks let pass."""
    for value in values or _words(strategy, path):
        try:
            yield replace_at(strategy, path, value)
        except ValueError:
            continue  # the field's own check refuses it


def _words(strategy: Strategy, path: str) -> list[str]:
    """Read the words that a field may be off the sentence that refuses any other."""
    try:
        replace_at(strategy, path, "?")
    except ValueError as error:
        listed = re.search(r"must be one of (.*), got", str(error))
        return listed[1].split(", ") if listed else []
    return []
