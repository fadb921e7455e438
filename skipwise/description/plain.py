"""The plain form of a description, and back, strictly."""

import dataclasses
import importlib
import types
import typing
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from skipwise.description.call import HOME, Call, found_at, packages_of
from skipwise.description.words import nearest

WRITTEN: dict[type, Any] = {list: tuple, tuple: list, str: Path}


@cache
def public_name(kind: type) -> str:
    """Give a description's name on disk: the folder that exports it, not the file it stands in."""
    if not kind.__module__.startswith(f"{HOME}."):
        return f"{kind.__module__}:{kind.__qualname__}"
    parts = kind.__module__.split(".")
    folders = (".".join(parts[:length]) for length in range(2, len(parts) + 1))
    modules = (importlib.import_module(folder) for folder in folders)
    found = next((m for m in modules if vars(m).get(kind.__name__) is kind), None)
    assert found is not None, f"{kind} is not exported"
    return f"{found.__name__}.{kind.__name__}"


def to_plain(value: Any) -> Any:
    """Turn a description into dicts, lists, strings, numbers and None.

    Raises:
        TypeError: If something in it has no plain form.
    """
    return _plain(value, "")


def _plain(value: Any, path: str) -> Any:
    if isinstance(value, Call):
        return {"is": value.target, **_plain(value.arguments, path)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        return {"is": public_name(type(value)), **_plain(own, path)}
    if isinstance(value, tuple | list):
        return [_plain(item, f"{path}[{n}]") for n, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {str(k): _plain(v, f"{path}.{k}".strip(".")) for k, v in value.items()}
    if isinstance(value, Path):
        return str(value)
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)  # numpy's are subclasses that YAML does not write
    if value is None:
        return None
    kind = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
    raise TypeError(
        f"{path and f'{path}: '}a description holds plain values and frozen dataclasses, not {kind}"
    )


def from_plain(plain: Any, *, allow: Iterable[str] = (), where: str = "the description") -> Any:
    """Rebuild a description from its plain form.

    Args:
        plain: What :func:`to_plain` gave, perhaps through YAML.
        allow: Packages outside ``skipwise`` that may be imported.
        where: The file, for the messages.

    Raises:
        ValueError: If a name, a key or a value does not fit; the message says which, where, and
            what is nearest.
    """
    return _read(plain, tuple(allow), where, "")


def _read(plain: Any, allow: tuple[str, ...], where: str, path: str) -> Any:
    if isinstance(plain, list):
        return tuple(_read(item, allow, where, f"{path}[{n}]") for n, item in enumerate(plain))
    if not isinstance(plain, Mapping):
        return plain
    inner = {k: v for k, v in plain.items() if k != "is"}
    if "is" not in plain:
        return {k: _read(v, allow, where, f"{path}.{k}".strip(".")) for k, v in inner.items()}
    try:
        kind = found_at(str(plain["is"]), allow)
    except ValueError as error:
        raise ValueError(f"{where}: at {path or 'the top'}: {error}") from None
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        if str(plain["is"]).startswith(f"{HOME}."):
            raise ValueError(f"{where}: at {path or 'the top'}: {plain['is']} is not a description")
        return Call(target=str(plain["is"]), arguments=inner)
    return _instance(kind, inner, allow, where, path)


def _instance(
    kind: type, inner: Mapping[str, Any], allow: tuple[str, ...], where: str, path: str
) -> Any:
    known = {f.name: f for f in dataclasses.fields(kind) if f.init}
    hints = hints_of(kind)
    values = {}
    for name, plain in inner.items():
        here = f"{path}.{name}".strip(".")
        if name not in known:
            raise ValueError(
                f"{where}: {here} is not a field of {kind.__name__}{nearest(name, known)}"
            )
        values[name] = fit(_read(plain, allow, where, here), hints[name], f"{where}: {here}")
    # A field that is required has neither: both are MISSING.
    missing = [n for n, f in known.items() if n not in values and f.default is f.default_factory]
    if missing:
        raise ValueError(
            f"{where}: {path or 'the top'} lacks {', '.join(missing)} of {kind.__name__}"
        )
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where}: at {path or 'the top'}: {error}") from None


def check_written(description: Any, where: str) -> None:
    """Refuse what could not be read again from its plain form, so no run begins that none can open.

    Args:
        description: Descriptions that were made in Python, so their packages are trusted.
        where: What they are, for the messages.

    Raises:
        ValueError: If a value is of another kind than its field, or a class is not found again.
    """
    try:
        plain = to_plain(description)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None
    from_plain(plain, allow=packages_of(description), where=where)


@cache
def hints_of(kind: type) -> dict[str, Any]:
    """Give the type hints of a description; any value will do if one names what is not there."""
    try:
        return typing.get_type_hints(kind)
    except (NameError, AttributeError, TypeError):  # a user's own, under TYPE_CHECKING for example
        return dict.fromkeys((f.name for f in dataclasses.fields(kind)), Any)


def fit(value: Any, hint: Any, where: str) -> Any:
    """Give a value in the type that a hint wants; a whole number may be a float.

    Raises:
        ValueError: If it is of another type; the message begins with ``where``.
    """
    kinds = alternatives(hint)
    if Any in kinds:
        return value
    if float in kinds and not isinstance(value, bool):
        if isinstance(value, int) and int not in kinds:
            return float(value)
        if isinstance(value, str) and str not in kinds:  # YAML reads 1e-3 as a string
            with suppress(ValueError):
                return float(value)
    classes = tuple(typing.get_origin(k) or k for k in kinds)
    if not all(isinstance(c, type) for c in classes):  # typing's own, Literal for example
        return value
    if not _is_one_of(value, classes):
        kind = WRITTEN.get(type(value), Any)  # as YAML has it
        value = kind(value) if kind in classes else value
    # A bool is an int to Python, not to a reader.
    stray = isinstance(value, bool) and {bool, object}.isdisjoint(classes)
    if stray or not _is_one_of(value, classes):
        wanted = " or ".join("nothing" if c is type(None) else c.__name__ for c in classes)
        raise ValueError(f"{where} must be {wanted}, got {value!r}")
    return _with_parts(value, kinds, where)


def _is_one_of(value: Any, classes: tuple[type, ...]) -> bool:
    try:
        return isinstance(value, classes)
    except TypeError:  # a Protocol or a TypedDict of the user's own, which tell nothing
        return True


def _with_parts(value: Any, kinds: Iterable[Any], where: str) -> Any:
    for origin, *hints in ((typing.get_origin(k), *typing.get_args(k)) for k in kinds):
        if origin is Mapping and isinstance(value, Mapping):
            return {k: fit_but_whole(v, hints[1], f"{where}.{k}") for k, v in value.items()}
        if origin is tuple and isinstance(value, tuple):
            many = hints[:1] * len(value) if hints[-1] is ... else hints
            if len(many) != len(value):
                raise ValueError(f"{where} must have {len(many)} members, got {len(value)}")
            return tuple(fit_but_whole(v, many[n], f"{where}[{n}]") for n, v in enumerate(value))
    return value


def fit_but_whole(value: Any, hint: Any, where: str) -> Any:
    """Fit a value; a whole number stays one, as studies on disk name their runs by the text."""
    found = fit(value, hint, where)
    return value if type(value) is int and found == value else found


def alternatives(hint: Any) -> tuple[Any, ...]:
    """Give the types of which a type hint allows any."""
    is_union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    return typing.get_args(hint) if is_union else (hint,)
