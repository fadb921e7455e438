"""Another value at a path of a description, from a word, a file or Python."""

import dataclasses
import importlib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from skipwise.description.call import HOME, Call
from skipwise.description.plain import alternatives, fit, from_plain, hints_of, public_name
from skipwise.description.words import nearest


def replace_at(description: Any, path: str, value: Any, *, within: str = "") -> Any:
    """Return a copy in which the field at ``path`` has another value.

    A string in place of a description names another member of the same folder:
    ``replace_at(network, "connection", "Highway")``; where several may stand, the names are a list,
    or one string with commas. A field that holds factors by name has these names as fields.
    ``within`` is the path to the description, for messages.

    Raises:
        ValueError: If there is no such field or the value does not fit; the nearest field is named.
    """
    name, _, rest = path.partition(".")
    if isinstance(description, tuple):
        return _replace_in(description, name, rest, value)
    if isinstance(description, Call):
        return dataclasses.replace(description, arguments={**description.arguments, path: value})
    if isinstance(description, Mapping):
        return {**description, path: value}
    if not dataclasses.is_dataclass(description) or isinstance(description, type):
        hint = "; it is chosen by the data, so name it first" if description is None else ""
        raise ValueError(f"there is nothing to set at {path!r} of {description!r}{hint}")
    known = [f.name for f in dataclasses.fields(description) if f.init]
    kind = type(description)
    if name not in known:
        raise ValueError(f"{kind.__name__} has no field {name!r}{nearest(name, known)}")
    old = getattr(description, name)
    if rest and old is None and within and (plain := _plain_members(kind, name)):
        raise ValueError(
            f"there is nothing to set at {rest!r}, for {name} is none; name it first,"
            f" {within}{name}={plain[0]} for example"
        )
    new = replace_at(old, rest, value, within=f"{within}{name}.") if rest else value
    return dataclasses.replace(description, **{name: fitted(kind, name, new)})


def replace_all(description: Any, values: Mapping[str, Any]) -> Any:
    """Return a copy with other values at several paths, in whatever order they are given.

    A part is put in place before what stands within it, and a value that is refused waits for the
    others: beside them it may fit.

    Raises:
        ValueError: What the first that fits beside none of the others is refused with.
    """
    waiting = dict(sorted(values.items(), key=lambda each: each[0].count(".")))
    while waiting:
        refused: dict[str, ValueError] = {}
        for path, value in waiting.items():
            try:
                description = replace_at(description, path, value)
            except ValueError as error:
                refused[path] = error
        if len(refused) == len(waiting):
            first = next(iter(refused.values()))
            raise first
        waiting = {path: waiting[path] for path in refused}
    return description


def by_path(name: str, values: Any) -> Mapping[str, Any]:
    """Give what an argument holds by paths; nothing if it is None.

    Raises:
        TypeError: If it holds something else.
    """
    if values is not None and not isinstance(values, Mapping):
        raise TypeError(
            f"{name} has values by their paths, {name}={{'strategy.peak_lr': …}} for example; got"
            f" {type(values).__name__}"
        )
    return values or {}


def _plain_members(kind: type, name: str) -> list[str]:
    """Name what a bare word can put into a field."""
    ours = _ours(alternatives(hints_of(kind)[name]))
    members = _members(ours).values() if ours else ()
    return sorted(
        member.__name__
        for member in members
        if all(f.default is not f.default_factory for f in dataclasses.fields(member) if f.init)
    )


def fitted(kind: type, name: str, value: Any) -> Any:
    """Read the value of a field from what a file, a word or Python gives; refuse another type."""
    hint = hints_of(kind)[name]
    new = _named(value, hint)
    new = from_plain(new, where=f"the value of {name}") if isinstance(new, list | dict) else new
    return fit(new, hint, name)


def _replace_in(members: tuple[Any, ...], name: str, rest: str, value: Any) -> tuple[Any, ...]:
    """Replace a field of one member, which its number or the name of its kind picks out.

    Raises:
        ValueError: If there is no such member, or no field is named.
    """
    kinds = [type(member).__name__ for member in members]
    named = [
        n for n, kind in enumerate(kinds) if name.lower().replace("-", "") in (kind.lower(), str(n))
    ]
    if not named or not rest:
        owners = [type(m).__name__ for m in members if hasattr(m, name)]
        hint = f"; name the part, {owners[0]}.{name}" if owners else nearest(name, kinds)
        raise ValueError(f"there is nothing to set at {name!r}{hint}")
    number = named[0]
    changed = replace_at(members[number], rest, value)
    return (*members[:number], changed, *members[number + 1 :])


def _named(value: Any, hint: Any) -> Any:
    """Make the description, or the several, that a word or words stand for; else give the value."""
    kinds = alternatives(hint)
    is_none = value is None or (isinstance(value, str) and value.lower() == "none")
    if is_none and type(None) in kinds:
        return None
    if isinstance(value, str) and (ours := _ours(kinds)):
        return _member(ours, value)
    words = value.split(",") if isinstance(value, str) else value
    lists = [typing.get_args(kind)[0] for kind in kinds if typing.get_origin(kind) is tuple]
    ours = _ours(alternatives(lists[0])) if lists else ()
    if ours and is_none and type(None) not in kinds:
        return ()
    if ours and isinstance(words, list) and all(isinstance(word, str) for word in words):
        return tuple(_member(ours, word.strip()) for word in words)
    return value


def _ours(kinds: Iterable[Any]) -> tuple[type, ...]:
    return tuple(k for k in kinds if isinstance(k, type) and k.__module__.startswith(f"{HOME}."))


def _folder(kinds: tuple[type, ...]) -> str:
    return public_name(kinds[0]).rpartition(".")[0]


def _members(kinds: tuple[type, ...]) -> dict[str, type]:
    return {
        n.lower(): v
        for n, v in vars(importlib.import_module(_folder(kinds))).items()
        if isinstance(v, type) and dataclasses.is_dataclass(v) and issubclass(v, kinds)
    }


def _member(kinds: tuple[type, ...], word: str) -> Any:
    members = _members(kinds)
    if word.lower() not in members:
        raise ValueError(
            f"{_folder(kinds)} has no"
            f" {word!r}{nearest(word, (v.__name__ for v in members.values()))}"
        )
    return members[word.lower()]()


def exported(folder: str) -> dict[str, Callable[..., Any]]:
    """Give the functions that a folder exports: what the command line turns a bare name into."""
    module = importlib.import_module(f"{HOME}.{folder}")
    return {n: vars(module)[n] for n in module.__all__ if inspect.isfunction(vars(module)[n])}
