"""The user's own code that a study names, as it lies in files; none of it is run.

Of a module it is its file, and those that it imports from the folder in which its package lies; of
a package that is installed its version.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from skipwise.description import HOME

INSTALLED = ("site-packages", "dist-packages")


def own_modules(plain: Any) -> Iterator[str]:
    """Name the modules outside ``skipwise`` that a plain description names.

    >>> list(own_modules({"is": "skipwise.networks.ResNet", "stem": [{"is": "mine.stems:wide"}]}))
    ['mine.stems']
    """
    if isinstance(plain, dict | list):
        for inner in plain.values() if isinstance(plain, dict) else plain:
            yield from own_modules(inner)
    if isinstance(plain, dict) and "is" in plain:
        name = str(plain["is"])
        module = name.partition(":")[0] if ":" in name else name.rpartition(".")[0]
        if _package(module) != HOME:
            yield module


def code_of(modules: Iterable[str]) -> dict[str, str]:
    """Give a digest of every file of theirs, or the version, by the name of module or package.

    What cannot be found or read is left out: a run tells of it.
    """
    found: dict[str, str] = {}
    for module in modules:
        with suppress(ImportError, SyntaxError, ValueError):
            found |= _digests(module)
    return found


def _digests(module: str) -> dict[str, str]:
    package = _package(module)
    spec = find_spec(package)
    if spec is None:
        return {}
    places = [Path(place).parent for place in spec.submodule_search_locations or ()]
    folder = places[0] if places else Path(str(spec.origin)).parent
    if folder.name in INSTALLED:
        return {package: version(package)}
    found, waiting = dict[str, str](), [module]
    while waiting:
        name = waiting.pop()
        file = _file_of(name, folder)
        if file is not None and name not in found and _package(name) != HOME:
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
            waiting += [name.rpartition(".")[0], *_imports(name, file)]
    return found


def _file_of(module: str, folder: Path) -> Path | None:
    stem = folder.joinpath(*module.split("."))
    files = (stem / "__init__.py", stem.with_suffix(".py")) if module else ()
    return next((file for file in files if file.is_file()), None)


def _imports(module: str, file: Path) -> Iterator[str]:
    """Name all that a file may import; what is imported from a module may be one too."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def _package(module: str) -> str:
    return module.partition(".")[0]
