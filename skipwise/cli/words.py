"""From the words of the command line to descriptions: bare names, ``--set path=value``, times."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from skipwise.description import Call, exported, nearest, read_yaml, replace_at
from skipwise.records import finite

Words = Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=False)]
Flag = Annotated[bool, Parameter(negative="")]
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def print_json(value: Any) -> None:
    """Print one JSON object on a line; a number that JSON cannot write becomes null."""
    print(json.dumps(finite(value), ensure_ascii=False))


def named(folder: str, kind: type) -> dict[str, Callable[[], Any]]:
    """Give the functions of a folder that return such a description, by name."""

    def gives(function: Callable[..., Any]) -> bool:
        returned = function.__annotations__.get("return")
        makes = isinstance(returned, type) and issubclass(returned, kind)
        return makes and not function.__code__.co_argcount

    return {name: f for name, f in exported(folder).items() if gives(f)}


def find_network(word: str) -> Any:
    """Turn ``resnet20`` into the network of that name, ``module:function`` into a call.

    Raises:
        ValueError: If there is no such network; the nearest is offered.
    """
    from skipwise.networks import NetworkDescription

    return (
        Call(target=word)
        if ":" in word
        else _found(word, "network", named("networks", NetworkDescription))
    )


def find_strategy(word: str) -> Any:
    """Turn ``momentum`` into the strategy that our function of that name gives.

    Raises:
        ValueError: If there is no such strategy; the nearest is offered.
    """
    from skipwise.strategies import Strategy

    return _found(word, "strategy", named("strategies", Strategy))


def _found(word: str, what: str, known: Mapping[str, Callable[[], Any]]) -> Any:
    if word not in known:
        raise ValueError(f"there is no {what} {word!r}{nearest(word, known)}")
    return known[word]()


def apply_settings(description: Any, settings: Iterable[str]) -> Any:
    """Apply ``path=value`` words to a description; values are read as YAML.

    Raises:
        ValueError: If a word is no assignment, or the path or the value does not fit.
    """
    for word in settings:
        path, equals, value = word.partition("=")
        if not equals:
            raise ValueError(
                f"--set takes path=value, strategy.peak_lr=0.1 for example; got {word!r}"
            )
        description = replace_at(description, path, _value(value))
    return description


def _value(text: str) -> Any:
    read = read_yaml(text, f"the value {text!r}")
    if isinstance(read, str):
        try:
            return float(read)  # YAML reads 1e-3 as a string
        except ValueError:
            return read
    return read


def parse_time(text: str) -> float:
    """Turn ``90``, ``90s``, ``10m``, ``1h30m`` or ``2d`` into seconds.

    >>> parse_time("1h30m"), parse_time("45")
    (5400.0, 45.0)

    Raises:
        ValueError: If it is no time, or not positive.
    """
    if text.startswith("-"):
        raise ValueError(f"a time must be positive, got {text!r}")
    pieces = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if not pieces or "".join(a + b for a, b in pieces) != text:
        raise ValueError(f"{text!r} is no time; write 90s, 10m or 1h30m")
    seconds = sum(float(number) * UNITS[unit] for number, unit in pieces)
    if seconds <= 0:
        raise ValueError(f"a time must be positive, got {text!r}")
    return seconds


def parse_memory(text: str) -> int:
    """Turn ``4g``, ``500m`` or a number of bytes into bytes; 0 holds nothing in memory.

    >>> parse_memory("4g"), parse_memory("1.5G"), parse_memory("0")
    (4000000000, 1500000000, 0)

    Raises:
        ValueError: If it is no amount.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is no amount of memory; write 4g or 500m")
    return int(float(found[1]) * BYTES[found[2]])


def parse_size(text: str) -> tuple[int, int]:
    """Turn ``64`` or ``48x64`` into height and width.

    >>> parse_size("64"), parse_size("48x64")
    ((64, 64), (48, 64))

    Raises:
        ValueError: If it is no size.
    """
    words = text.lower().replace("×", "x").split("x")
    if len(words) > 2 or not all(word.isdigit() and int(word) > 0 for word in words):
        raise ValueError(
            f"{text!r} is no size of pictures; write 64, or 48x64 for height and width"
        )
    return int(words[0]), int(words[-1])
