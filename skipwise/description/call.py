"""Names outside ``skipwise``: what a user adds, imported only if its package was allowed."""

import dataclasses
import importlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from skipwise.description.words import nearest

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
        return package_of(self.target)

    def __call__(self, **context: Any) -> Any:
        """Call the function with its arguments and the parts of the context that it names.

        Raises:
            ValueError: If there is no such function, or its signature asks for anything else.
        """
        function = found_at(self.target, allow=(self.package,))
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
        own = package_of(value.target if isinstance(value, Call) else type(value).__module__)
        inner = [getattr(value, each.name) for each in dataclasses.fields(value)]
    named = [own, *(name for each in inner for name in packages_of(each))]
    return tuple(dict.fromkeys(name for name in named if name != HOME))


def package_of(name: str) -> str:
    """Name the package that ``package.module:thing`` or ``package.module.thing`` lies in."""
    return name.partition(":")[0].partition(".")[0]


def found_at(name: str, allow: Iterable[str]) -> Any:
    """Import what a name names, from a package that is allowed.

    Raises:
        ValueError: If it is not, or there is none; the nearest is named.
    """
    module, _, attribute = name.partition(":") if ":" in name else name.rpartition(".")
    package = package_of(module)
    if package != HOME and package not in {package_of(allowed) for allowed in allow}:
        raise ValueError(
            f"{name!r} lies outside {HOME} and is not imported;"
            f" if you trust it, add --allow {package or name}"
        )
    if "." in attribute:
        raise ValueError(
            f"{name!r} is made within a function or a class, where it is not found again when a run"
            " is opened; define it at the top level of its module"
        )
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"{name!r} cannot be imported: {error}") from None
    if not hasattr(imported, attribute):
        is_lazy = module == HOME
        found = {n: getattr(imported, n) for n in dir(imported)} if is_lazy else vars(imported)
        own = {n for n, v in found.items() if str(getattr(v, "__module__", "")).startswith(module)}
        public = [n for n in own if not n.startswith("_") and callable(found[n])]
        raise ValueError(f"{module} has no {attribute!r}{nearest(attribute, public)}")
    return getattr(imported, attribute)
