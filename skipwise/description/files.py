"""Descriptions as YAML."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from skipwise.description.plain import from_plain, public_name, to_plain

Described = TypeVar("Described")
REMEDY = "mend it, or give back a copy"


def read_yaml(text: str, where: str) -> Any:
    """Parse YAML safely.

    Raises:
        ValueError: If it is no YAML; the message gives file and line.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(
            f"{where} is not valid YAML: {' '.join(str(error).split())}; {REMEDY}"
        ) from None


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
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8; {REMEDY}") from None
    found = from_plain(read_yaml(text, str(path)), allow=allow, where=str(path))
    if not isinstance(found, kind):
        word = kind.__name__.lower()
        article = "an" if word[0] in "aeiou" else "a"
        raise ValueError(
            f"{path} does not describe {article} {word}; its top must say is:"
            f" {public_name(kind)}; {REMEDY}"
        )
    return found


def write_yaml(description: Any) -> str:
    """Write a description, or anything plain, as YAML with its fields in their order."""
    return yaml.safe_dump(to_plain(description), sort_keys=False, allow_unicode=True, width=110)
