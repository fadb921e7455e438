"""Descriptions: frozen dataclasses that say what to build, and their plain form on disk.

A description is written as its public name with its fields, ``{"is":
"skipwise.connections.Highway", "bias": -2.0}``, and read back strictly: a key that does not exist,
a value of the wrong type or a name outside ``skipwise`` is an error that says where it stands. What
a user adds is named ``package.module:thing`` and imported only if that package was allowed: opening
somebody's file must not run somebody's code.
"""

import dataclasses
import difflib
import importlib
import inspect
import sys
import sysconfig
import traceback
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

import yaml

Described = TypeVar("Described")
HOME = "skipwise"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A function of the user's own, with its keyword arguments, called where the object is needed.

    Args:
        target: The function, ``package.module:function``.
        arguments: What is handed to it beside the context; plain values only.
    """

    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The function's own name."""
        return self.target.rpartition(":")[2]

    @property
    def package(self) -> str:
        """The package that holds it, which ``--allow`` names."""
        return _package(self.target)

    def __call__(self, **context: Any) -> Any:
        """Call the function with its arguments and the parts of the context that it names.

        Raises:
            ValueError: If there is no such function, or its signature asks for anything else.
        """
        function = _import(self.target, allow=(self.package,))
        if not callable(function):
            raise ValueError(
                f"{self.target} is a {type(function).__name__}, not a function; name one"
            )
        names = inspect.signature(function).parameters
        takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in names.values())
        given = {k: v for k, v in context.items() if takes_all or k in names}
        try:
            inspect.signature(function).bind(**given, **self.arguments)
        except TypeError as error:
            offered = f"it is offered {', '.join(context)}" if context else "it is given nothing"
            raise ValueError(f"{self.target} cannot be called: {error}; {offered}") from None
        return function(**given, **self.arguments)


def packages_of(value: Any) -> tuple[str, ...]:
    """Name the packages outside ``skipwise`` that descriptions name, each once."""
    own, inner = HOME, ()
    if isinstance(value, Mapping | tuple | list):
        inner = value.values() if isinstance(value, Mapping) else value
    elif dataclasses.is_dataclass(value):
        own = _package(value.target if isinstance(value, Call) else type(value).__module__)
        inner = [getattr(value, each.name) for each in dataclasses.fields(value)]
    named = [own, *(name for each in inner for name in packages_of(each))]
    return tuple(dict.fromkeys(name for name in named if name != HOME))


def line_in_own_code(error: BaseException) -> str:
    """Name the last line of the user's own code that an error passed; empty if there is none."""
    installed = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    ours = (str(Path(__file__).parent), sys.prefix, sys.base_prefix, "<", *installed)
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def nearest(word: str, words: Iterable[str], unlisted: Iterable[str] = ()) -> str:
    """Say which known word is meant: ``"; did you mean 'resnet20'?"``, or list the words there are.

    Of two that are equally near, the one that begins alike is meant. Those that are ``unlisted``
    may be meant too.
    """
    known = sorted(words)

    def likeness(other: str) -> tuple[float, int]:
        ratio = difflib.SequenceMatcher(None, word.lower(), other.lower()).ratio()
        same = takewhile(lambda pair: pair[0] == pair[1], zip(word, other, strict=False))
        return ratio, len(list(same))

    best = max([*known, *sorted(unlisted)], key=likeness, default="")
    if best and likeness(best)[0] >= 0.6:
        return f"; did you mean {best!r}?"
    return f"; there are {', '.join(known)}" if known else "; there are none"


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
    if isinstance(value, Call):
        return {"is": value.target, **{k: to_plain(v) for k, v in value.arguments.items()}}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = {
            f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init
        }
        return {"is": public_name(type(value)), **own}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, Path):
        return str(value)
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)  # numpy's are subclasses that YAML does not write
    if value is None:
        return None
    raise TypeError(
        f"a description holds plain values and frozen dataclasses, not {type(value).__name__}"
    )


def _package(name: str) -> str:
    return name.partition(":")[0].partition(".")[0]


def _import(name: str, allow: Iterable[str]) -> Any:
    module, _, attribute = name.partition(":") if ":" in name else name.rpartition(".")
    package = _package(module)
    if package != HOME and package not in {_package(allowed) for allowed in allow}:
        raise ValueError(
            f"{name!r} lies outside {HOME} and is not imported;"
            f" if you trust it, add --allow {package or name}"
        )
    try:
        found = vars(importlib.import_module(module))
    except ModuleNotFoundError as error:
        raise ValueError(f"{name!r} cannot be imported: {error}") from None
    if attribute not in found:
        own = {n for n, v in found.items() if str(getattr(v, "__module__", "")).startswith(module)}
        public = [n for n in own if not n.startswith("_") and callable(found[n])]
        raise ValueError(f"{module} has no {attribute!r}{nearest(attribute, public)}")
    return found[attribute]


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
        kind = _import(str(plain["is"]), allow)
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
    hints = typing.get_type_hints(kind)
    values = {}
    for name, plain in inner.items():
        here = f"{path}.{name}".strip(".")
        if name not in known:
            raise ValueError(
                f"{where}: {here} is not a field of {kind.__name__}{nearest(name, known)}"
            )
        values[name] = _fitted(_read(plain, allow, where, here), hints[name], f"{where}: {here}")
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


def _fitted(value: Any, hint: Any, where: str) -> Any:
    kinds = _alternatives(hint)
    if Any in kinds:
        return value
    if float in kinds and not isinstance(value, bool):
        if isinstance(value, int) and int not in kinds:
            return float(value)
        if isinstance(value, str) and str not in kinds:  # YAML reads 1e-3 as a string
            with suppress(ValueError):
                return float(value)
    classes = tuple(typing.get_origin(k) or k for k in kinds)
    stray = isinstance(value, bool) and bool not in classes  # an int to Python, not to a reader
    if stray or not isinstance(value, classes):
        wanted = " or ".join("nothing" if c is type(None) else c.__name__ for c in classes)
        raise ValueError(f"{where} must be {wanted}, got {value!r}")
    return _with_parts(value, kinds, where)


def _with_parts(value: Any, kinds: Iterable[Any], where: str) -> Any:
    for origin, *hints in ((typing.get_origin(k), *typing.get_args(k)) for k in kinds):
        if origin is Mapping and isinstance(value, Mapping):
            return {k: _fitted(v, hints[1], f"{where}.{k}") for k, v in value.items()}
        if origin is tuple and isinstance(value, tuple):
            many = hints[:1] * len(value) if hints[-1] is ... else hints
            if len(many) != len(value):
                raise ValueError(f"{where} must have {len(many)} members, got {len(value)}")
            return tuple(_fitted(v, many[n], f"{where}[{n}]") for n, v in enumerate(value))
    return value


def replace_at(description: Any, path: str, value: Any) -> Any:
    """Return a copy in which the field at ``path`` has another value.

    A string in place of a description names another member of the same folder:
    ``replace_at(network, "connection", "Highway")``; where several may stand, the names are a list,
    or one string with commas. A field that holds factors by name has these names as fields.

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
    new = replace_at(getattr(description, name), rest, value) if rest else value
    return dataclasses.replace(description, **{name: fitted(kind, name, new)})


def fitted(kind: type, name: str, value: Any) -> Any:
    """Read the value of a field from what a file, a word or Python gives; refuse another type."""
    hint = typing.get_type_hints(kind)[name]
    new = _named(value, hint)
    new = from_plain(new, where=f"the value of {name}") if isinstance(new, list | dict) else new
    return _fitted(new, hint, name)


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
        raise ValueError(f"there is nothing to set at {name!r}{nearest(name, kinds)}")
    number = named[0]
    changed = replace_at(members[number], rest, value)
    return (*members[:number], changed, *members[number + 1 :])


def _named(value: Any, hint: Any) -> Any:
    """Make the description, or the several, that a word or words stand for; else give the value."""
    kinds = _alternatives(hint)
    if isinstance(value, str) and (ours := _ours(kinds)):
        return _member(ours, value)
    words = value.split(",") if isinstance(value, str) else value
    lists = [typing.get_args(kind)[0] for kind in kinds if typing.get_origin(kind) is tuple]
    ours = _ours(_alternatives(lists[0])) if lists else ()
    if ours and isinstance(words, list) and all(isinstance(word, str) for word in words):
        return tuple(_member(ours, word.strip()) for word in words)
    return value


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def _ours(kinds: Iterable[Any]) -> tuple[type, ...]:
    return tuple(k for k in kinds if isinstance(k, type) and k.__module__.startswith(f"{HOME}."))


def _member(kinds: tuple[type, ...], word: str) -> Any:
    folder = public_name(kinds[0]).rpartition(".")[0]
    members = {
        n.lower(): v
        for n, v in vars(importlib.import_module(folder)).items()
        if isinstance(v, type) and dataclasses.is_dataclass(v) and issubclass(v, kinds)
    }
    if word.lower() not in members:
        raise ValueError(
            f"{folder} has no {word!r}{nearest(word, (v.__name__ for v in members.values()))}"
        )
    return members[word.lower()]()


def exported(folder: str) -> dict[str, Callable[..., Any]]:
    """Give the functions that a folder exports: what the command line turns a bare name into."""
    module = importlib.import_module(f"{HOME}.{folder}")
    return {n: vars(module)[n] for n in module.__all__ if inspect.isfunction(vars(module)[n])}


def read_yaml(text: str, where: str) -> Any:
    """Parse YAML safely.

    Raises:
        ValueError: If it is no YAML; the message gives file and line.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from None


def read_described(path: Path, kind: type[Described], *, allow: Iterable[str] = ()) -> Described:
    """Read a YAML file whose top is one description of such a kind.

    Args:
        path: The file.
        kind: What it must describe.
        allow: Packages outside ``skipwise`` that may be imported.

    Raises:
        ValueError: If it is none; the message names file, key and the nearest valid one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    found = from_plain(read_yaml(text, str(path)), allow=allow, where=str(path))
    if not isinstance(found, kind):
        word = kind.__name__.lower()
        article = "an" if word[0] in "aeiou" else "a"
        raise ValueError(
            f"{path} does not describe {article} {word}; its top must say is: {public_name(kind)}"
        )
    return found


def write_yaml(description: Any) -> str:
    """Write a description, or anything plain, as YAML with its fields in their order."""
    return yaml.safe_dump(to_plain(description), sort_keys=False, allow_unicode=True, width=110)
